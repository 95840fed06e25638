"""Fixtures for all tests; the servers and the gateway behind them are made by `tests.servers`."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from mcppool.observe import logs
from tests.servers import Gateway, Replica, sdk2_replica

# The time of one example on a busy machine tells nothing about the code. In a run that judges a commit (.ci/run), the
# examples are the same each time; elsewhere each run tries others.
settings.register_profile(
    "mcppool",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("MCPPOOL_REQUIRE_ALL") == "1",
)
settings.load_profile("mcppool")

# Tests start hundreds of processes. Where Python may not keep the modules that it has compiled, as images often have
# it, each of these processes compiles all that it imports: half of the processor time of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Spans wait five seconds for others to be sent with them; tests wait for spans.
os.environ["OTEL_BSP_SCHEDULE_DELAY"] = "200"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the tests, each file stays in one of them. So does the folder of the control plane,
    which is expensive to start. Unit tests share nothing: any process takes the next one."""
    for item in items:
        file = item.nodeid.partition("::")[0]
        if not file.startswith("tests/unit/"):
            item.add_marker(pytest.mark.xdist_group("tests/kube" if file.startswith("tests/kube/") else file))


class Trio:
    """Three replicas a, b, c that live as long as the test run: starting one costs a second of a core."""

    def __init__(self, ledger: Path, *, json_response: bool) -> None:
        self._servers = tuple(sdk2_replica(name, ledger, json_response=json_response) for name in "abc")

    def ready(self) -> tuple[Replica, ...]:
        """All three, healthy whatever an earlier test did to them."""
        for server in self._servers:
            if not server.alive:
                server.launch()
            server.resume()
        for server in self._servers:
            server.wait_ready()
        return self._servers

    def close(self) -> None:
        """End them."""
        for server in self._servers:
            server.close()


@pytest.fixture(autouse=True)
def logging_of_one_test() -> Iterator[None]:
    """Undo what a gateway in this process did to the logging of the process: a later test may look for its records."""
    root = logging.getLogger()
    bridges, level = [each for each in root.handlers if isinstance(each, logs._Bridge)], root.level
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_configured", "_to_program", "_threshold", "_render", "_writer"):
            patch.setattr(logs, name, getattr(logs, name))
        yield
    others = [each for each in root.handlers if not isinstance(each, logs._Bridge)]
    root.handlers = [*others, *bridges]
    root.setLevel(level)


@pytest.fixture(scope="session")
def ledger_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one ledger of this run."""
    return tmp_path_factory.mktemp("ledger") / "executions.jsonl"


@pytest.fixture(scope="session")
def json_trio(ledger_file: Path) -> Iterator[Trio]:
    """See `replicas`."""
    trio = Trio(ledger_file, json_response=True)
    yield trio
    trio.close()


@pytest.fixture(scope="session")
def sse_trio(ledger_file: Path) -> Iterator[Trio]:
    """See `sse_replicas`."""
    trio = Trio(ledger_file, json_response=False)
    yield trio
    trio.close()


@pytest.fixture
def ledger(ledger_file: Path) -> Path:
    """The file in which replicas record their executions, empty when the test begins; `executions` reads it."""
    ledger_file.touch()
    os.truncate(ledger_file, 0)  # not a new file: running replicas have this one open
    return ledger_file


@pytest.fixture
def replicas(json_trio: Trio, ledger: Path) -> tuple[Replica, ...]:
    """Three replicas a, b, c of the small SDK 2.x server, which answer with JSON and log to `ledger`.

    A test may kill and pause them as it likes.
    """
    found = json_trio.ready()
    os.truncate(ledger, 0)  # calls of an earlier test may have waited in a server that was paused
    return found


@pytest.fixture
def sse_replicas(sse_trio: Trio, ledger: Path) -> tuple[Replica, ...]:
    """The same, answering with event streams where the SDK does by default."""
    found = sse_trio.ready()
    os.truncate(ledger, 0)
    return found


class GatewayFactory:
    """Starts gateways that end, and must end well, with the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[Gateway] = []

    def __call__(
        self, pools: str, *, profile: str = "test", listener: str = "", wait: bool = True, port: int | None = None
    ) -> Gateway:
        """A gateway for these pools (see `pool_toml`), ready unless `wait` is False; `listener`: more lines of it."""
        name = f"gateway-{len(self.started)}"
        gateway = Gateway(self._folder, pools, profile=profile, listener=listener, name=name, port=port)
        gateway.launch()
        try:
            if wait:
                gateway.wait_ready()
        except RuntimeError:  # its log is in the message
            gateway.kill()
            raise
        self.started.append(gateway)
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
        except (AssertionError, subprocess.TimeoutExpired) as problem:
            problems.append(str(problem))
    assert not problems, "\n".join(problems)
