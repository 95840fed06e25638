from __future__ import annotations

import pytest

from mcppool_operator.options import parse


def test_the_pod_sets_identity_and_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAME", "mcppool-7d9f")
    monkeypatch.setenv("POD_NAMESPACE", "mcppool-system")
    first, second = (parse(["--gateway-image", "gateway:1"]) for _ in range(2))
    assert first.identity.startswith("mcppool-7d9f_")
    assert first.identity != second.identity
    assert first.lease_namespace == "mcppool-system"
    assert first.namespaces == ()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--gateway-image", "x", "--renew-deadline", "15"],
        ["--gateway-image", "x", "--retry-period", "10"],
        ["--gateway-image", "x", "--workers", "0"],
        ["--gateway-image", "x", "--log-level", "loud"],
    ],
)
def test_invalid_options_end_the_process(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert "mcppool-operator: error:" in capsys.readouterr().err
