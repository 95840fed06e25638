"""The watches' path to the API server."""

from __future__ import annotations

import asyncio

import kopf
import pytest

from mcppool_operator import watch
from mcppool_operator.liveness import Watches
from mcppool_operator.store import Store
from mcppool_operator.triggers import Index
from mcppool_operator.watch import Hearers, WatchesFailedError, in_cluster_server


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


async def test_the_cause_of_failed_watches_is_named_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(**_: object) -> None:
        raise LookupError("no such kind")

    monkeypatch.setattr(kopf, "operator", fail)
    hearers = Hearers(Index(), Store(), lambda *_: None, lambda _: None)
    watches = Watches([], (), lambda _: None, lambda _: None)
    with pytest.raises(WatchesFailedError, match="the watches have failed: LookupError: no such kind") as caught:
        await watch.run(hearers, (), [], watches, asyncio.Event(), asyncio.Event())
    assert caught.value.__cause__ is None
