"""Fixtures for all tests; the servers and the gateway behind them are made by `tests.servers`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Gateway, Replica, sdk2_replica, serving


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """The file to which replicas write what they execute; read it with `executions`."""
    return tmp_path / "executions.jsonl"


@pytest.fixture
def replicas(ledger: Path) -> Iterator[tuple[Replica, ...]]:
    """Three replicas a, b, c of the small SDK 2.x server, which answer with JSON and log to `ledger`."""
    with serving(*(sdk2_replica(name, ledger, json_response=True) for name in "abc")) as running:
        yield running


@pytest.fixture
def sse_replicas(ledger: Path) -> Iterator[tuple[Replica, ...]]:
    """The same, answering with event streams where the SDK does by default."""
    with serving(*(sdk2_replica(name, ledger) for name in "abc")) as running:
        yield running


class GatewayFactory:
    """Starts gateways that end, and must end well, with the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[Gateway] = []

    def __call__(self, pools: str, *, profile: str = "test", wait: bool = True) -> Gateway:
        """A gateway for these pools (see `pool_toml`), ready unless `wait` is False."""
        gateway = Gateway(self._folder, pools, profile=profile, name=f"gateway-{len(self.started)}")
        self.started.append(gateway)
        gateway.launch()
        if wait:
            gateway.wait_ready()
        return gateway


@pytest.fixture
def gateway(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[GatewayFactory]:
    """Call it with TOML to get a running gateway. At the end each must exit 0 on SIGTERM; the report has its log."""
    factory = GatewayFactory(tmp_path)
    yield factory
    problems = []
    for started in factory.started:
        print(f"---- {started.name} ----\n{started.log[-20_000:]}")
        try:
            started.close()
        except (AssertionError, TimeoutError) as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)
