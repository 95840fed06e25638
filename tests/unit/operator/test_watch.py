"""The way to the API server that the watches take."""

from __future__ import annotations

import pytest

from mcppool_operator.watch import in_cluster_server


@pytest.mark.parametrize(
    ("host", "port", "server"),
    [
        ("10.96.0.1", "443", "https://10.96.0.1:443"),
        ("fd00::1", "6443", "https://[fd00::1]:6443"),
        ("", "443", None),
        ("10.96.0.1", "", None),
    ],
)
def test_the_address_of_the_api_server_needs_no_name(
    monkeypatch: pytest.MonkeyPatch, host: str, port: str, server: str | None
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    assert in_cluster_server() == server
