"""`make bench-operator`: one operator and many pools, on a real API server with its real controllers.

A first start, which makes everything; gateways that come up; rest; endpoints that change; a second start, which finds
everything as it should be. Gateways are as real as a cluster without nodes has them: pods that are said to be ready, at
addresses where this program answers for them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench import command, machine, report
from bench.command import say
from bench.fleet import Fleet
from bench.processes import Failed
from mcppool_operator.api import connect
from mcppool_operator.resources import CONFIG_MAP
from tests.chart.helm import Helm
from tests.kube.administrator import Administrator
from tests.kube.conftest import CRDS, NODE, PERMISSIONS, namespace
from tests.kube.control_plane import WRITES, Cluster, cluster
from tests.kube.operator_process import Operator
from tests.requirements import ROOT
from tests.waiting import until

LIMIT = 1200.0
BOUNDS = {"reconciled_s": 60.0, "peak_mb": 200.0, "change_ms": 500.0, "told_s": 3.0, "killed_s": 20.0}
"""The operator's promise for 500 pools with 20 endpoints each."""


@dataclass
class Start:
    """One start of the operator."""

    reconciled_s: float
    peak_mb: float
    writes: dict[str, int]
    reads: dict[str, int]
    cpu_s: float

    def a_pool(self, pools: int) -> str:
        """The cost of one pool: processor time, and requests to the API server."""
        requests = _but_leases(self.writes) + _but_leases(self.reads)
        return f"{self.cpu_s / pools * 1000:.0f} ms, {requests / pools:.1f} requests"


@dataclass
class Result:
    pools: int
    endpoints: int
    first: Start | None = None
    second: Start | None = None
    ready_s: float = 0.0
    idle_s: float = 0.0
    idle_writes: dict[str, int] = field(default_factory=dict)
    idle_reads: dict[str, int] = field(default_factory=dict)
    idle_cpu: float = 0.0
    change_ms: list[float] = field(default_factory=list)
    told_s: float = 0.0
    """From SIGTERM to the leader to a snapshot that its successor has written."""
    killed_s: float = 0.0
    """The same from SIGKILL."""
    busy_change_ms: float = 0.0
    """An endpoint change just after the second start, while all pools still wait for their first look."""

    def broken(self) -> list[str]:
        """The bounds that are exceeded."""
        starts = [start for start in (self.first, self.second) if start]
        found = [f"{s.reconciled_s:.0f} s to reconcile" for s in starts if s.reconciled_s > BOUNDS["reconciled_s"]]
        found += [f"{s.peak_mb:.0f} MB" for s in starts if s.peak_mb > BOUNDS["peak_mb"]]
        if median(self.change_ms) > BOUNDS["change_ms"]:
            found.append(f"{median(self.change_ms):.0f} ms from change to snapshot")
        for name in ("told_s", "killed_s"):
            if (seconds := getattr(self, name)) > BOUNDS[name]:
                found.append(f"{seconds:.1f} s to hand over ({name})")
        others = {name: count for name, count in self.idle_writes.items() if "leases" not in name}
        return [*found, *(f"{count} × {name} at rest" for name, count in others.items())]

    def markdown(self) -> str:
        assert self.first
        assert self.second
        rows = [
            ["start → all reconciled, nothing there before", f"{self.first.reconciled_s:.1f} s"],
            ["start → all reconciled, everything in order", f"{self.second.reconciled_s:.1f} s"],
            ["CPU of the operator and its requests, for each pool of the first start", self.first.a_pool(self.pools)],
            ["the same of the second start", self.second.a_pool(self.pools)],
            ["writes of that second start, its Lease aside", f"{_but_leases(self.second.writes)}"],
            ["peak resident memory, first start", f"{self.first.peak_mb:.0f} MB"],
            ["peak resident memory, second start", f"{self.second.peak_mb:.0f} MB"],
            ["writes a minute at rest: the Lease", f"{self._a_minute(self.idle_writes):.0f}"],
            ["other writes a minute at rest", f"{_but_leases(self.idle_writes) * 60 / self.idle_s:.0f}"],
            ["reads a minute at rest: the Lease", f"{self._a_minute(self.idle_reads):.0f}"],
            ["other reads a minute at rest", f"{_but_leases(self.idle_reads) * 60 / self.idle_s:.0f}"],
            ["CPU at rest, of one core", f"{self.idle_cpu:.1%}"],
            ["endpoint change → snapshot, median", f"{median(self.change_ms):.0f} ms"],
            ["endpoint change → snapshot, longest", f"{max(self.change_ms):.0f} ms"],
            ["hand-over on SIGTERM, to the next snapshot", f"{self.told_s:.1f} s"],
            ["hand-over on SIGKILL, to the next snapshot", f"{self.killed_s:.1f} s"],
            ["endpoint change while a lone operator starts → snapshot", f"{self.busy_change_ms:.0f} ms"],
        ]
        title = f"**{self.pools} pools with {self.endpoints} endpoints each**, {self.pools * 2} gateways"
        return f"{title}\n\n{report.table(['what', 'figure'], rows)}"

    def _a_minute(self, counts: dict[str, int]) -> float:
        leases = sum(count for name, count in counts.items() if "leases" in name)
        return leases * 60 / self.idle_s


class Log:
    """The API server's audit log of the operator's requests, read from the last position."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> list[dict[str, Any]]:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            lines = file.read()
        whole = lines.rfind(b"\n") + 1
        self._offset += whole
        return [json.loads(line) for line in lines[:whole].splitlines()]

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """Writes and reads since the last look, by verb and resource."""
        writes: Counter[str] = Counter()
        reads: Counter[str] = Counter()
        for request in self.new():
            place = request.get("objectRef") or {}
            parts = filter(None, (place.get("resource"), place.get("subresource")))
            (writes if request["verb"] in WRITES else reads)[f"{request['verb']} {'/'.join(parts)}"] += 1
        return dict(writes.most_common()), dict(reads.most_common())


async def measure(kube: Cluster, fleet: Fleet, idle: float, changes: int) -> Result:
    """The whole benchmark, in one cluster."""
    assert kube.audit is not None
    result, log = Result(len(fleet.places), fleet.endpoints), Log(kube.audit)
    token = await Administrator(fleet.api).token("mcppool-system", "mcppool")
    say("making the pools")
    await fleet.create()
    async with AsyncExitStack() as stack:
        operator, start = await _start(kube, token, "first", stack)
        say("the first start")

        async def written() -> int:
            return int(operator.metric("mcppool_operator_snapshots_published_total"))

        await _reach(written, len(fleet.places), operator)  # to list all pools over and over would disturb
        result.first = await _reconciled(operator, start, fleet.published, len(fleet.places), log)
        say(f"  {result.first}")
        began = time.monotonic()
        await fleet.start_gateways(stack)
        await _reach(fleet.ready, len(fleet.places), operator)
        result.ready_s = time.monotonic() - began
        say(f"all pools are ready after {result.ready_s:.0f} s more; now rest")
        await _calm(log)
        log.counts()
        cpu = _cpu(operator)
        await asyncio.sleep(idle)
        result.idle_s, result.idle_cpu = idle, (_cpu(operator) - cpu) / idle
        result.idle_writes, result.idle_reads = log.counts()
        say(f"  {result.idle_writes} {result.idle_reads}")
        for turn in range(changes):
            result.change_ms.append(await _change(fleet, turn, turn))
        await fleet.note_hashes()
        result.first.peak_mb = max(result.first.peak_mb, _peak(operator))
        operator.stop()
        log.counts()
        say("the second start")
        operator, start = await _start(kube, token, "second", stack)
        leading = operator
        await until(lambda: leading.metric("mcppool_operator_term"), "it leads", 60)
        result.busy_change_ms = await _change(fleet, len(fleet.places) // 2, changes)
        await fleet.note_hashes()

        async def looked_at() -> int:
            return int(operator.metric('mcppool_operator_reconcile_total{result="success"}'))

        result.second = await _reconciled(operator, start, looked_at, len(fleet.places), log)
        await _calm(log)
        say(f"  {result.second}")
        result.told_s = await _hand_over(kube, token, fleet, operator, signal.SIGTERM, changes + 1, stack)
        result.killed_s = await _hand_over(kube, token, fleet, operator, signal.SIGKILL, changes + 2, stack)
    return result


async def _hand_over(
    kube: Cluster, token: str, fleet: Fleet, leader: Operator, number: int, turn: int, stack: AsyncExitStack
) -> float:
    """Seconds from a signal to the leader to a snapshot that its standby has published.

    The end of the leader's process is not waited for: it holds nothing up.
    """
    if leader.process.poll() is not None:
        leader, _ = await _start(kube, token, f"leader-{number}", stack)
        await until(leader.leads, "it leads", 60)
    standby, _ = await _start(kube, token, f"standby-{number}", stack)
    await standby.ready()
    start = time.monotonic()
    leader.process.send_signal(number)
    await until(standby.leads, "the standby leads", 60)
    await _change(fleet, turn, turn)
    seconds = time.monotonic() - start
    standby.stop()
    return seconds


async def _start(kube: Cluster, token: str, name: str, stack: AsyncExitStack) -> tuple[Operator, float]:
    start = time.monotonic()
    operator = Operator(name, kube.kubeconfig(name, token))
    stack.callback(operator.stop)
    return operator, start


async def _reconciled(
    operator: Operator, start: float, count: Callable[[], Awaitable[int]], wanted: int, log: Log
) -> Start:
    await _reach(count, wanted, operator)
    seconds = time.monotonic() - start
    return Start(seconds, _peak(operator), *log.counts(), _cpu(operator))


async def _reach(count: Callable[[], Awaitable[int]], wanted: int, operator: Operator) -> None:
    deadline, last = time.monotonic() + LIMIT, -1
    while (found := await count()) < wanted:
        if operator.process.poll() is not None:
            raise Failed(f"the operator has ended:\n{operator.log()[-3000:]}")
        if time.monotonic() > deadline:
            raise Failed(f"only {found} of {wanted} within {LIMIT:g} s:\n{operator.log()[-3000:]}")
        if found // 100 != last // 100:
            say(f"  {found} of {wanted}")
        last = found
        await asyncio.sleep(0.5)


async def _calm(log: Log) -> None:
    """Wait until the operator has written nothing but its Lease for a few seconds."""
    deadline = time.monotonic() + LIMIT
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 5:
        if time.monotonic() > deadline:
            raise Failed("the operator never comes to rest")
        await asyncio.sleep(0.5)
        if _but_leases(log.counts()[0]):
            quiet_since = time.monotonic()


async def _change(fleet: Fleet, number: int, turn: int) -> float:
    """Milliseconds from the answer to a change of an EndpointSlice to a snapshot with it."""
    place, name = fleet.places[number]
    address = await fleet.change(number, turn)
    start = time.monotonic()
    while address not in str(await fleet.api.get(CONFIG_MAP, place, f"{name}-mcp-config")):
        if time.monotonic() - start > LIMIT:
            raise Failed(f"{address} was never published")
        await asyncio.sleep(0.005)
    return (time.monotonic() - start) * 1000


def _but_leases(counts: dict[str, int]) -> int:
    return sum(count for name, count in counts.items() if "leases" not in name)


def _peak(operator: Operator) -> float:
    status = Path(f"/proc/{operator.process.pid}/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kilobytes) * 1024 / 1e6


def _cpu(operator: Operator) -> float:
    """User and system time so far, in seconds; Linux derives a clock id from a process id."""
    return time.clock_gettime((~operator.process.pid << 3) | 2)


def _helm() -> Helm:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "fetch-helm"], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode != 0:
        raise Failed(f"Helm is missing: {done.stderr.strip()}")
    return Helm(done.stdout.strip())


async def run(options: argparse.Namespace) -> Result:
    """In a cluster of its own."""
    permissions = [obj for obj in _helm().template() if obj["kind"] in PERMISSIONS]
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder), CRDS) as kube:
        async with connect(str(kube.admin), timeout=120) as api:
            await Administrator(api).put(NODE, namespace("mcppool-system"), *permissions)
            fleet = Fleet(api, options.pools, options.endpoints)
            return await measure(kube, fleet, options.idle, options.changes)


def measured(options: argparse.Namespace) -> command.Result:
    result = asyncio.run(run(options))
    text = f"{report.versions_line(machine.host())}\n\n{result.markdown()}"
    return command.Result(text, asdict(result), broken=tuple(result.broken()))


def main() -> int:
    parser = command.parser(__doc__)
    parser.add_argument("--pools", type=int, default=500)
    parser.add_argument("--endpoints", type=int, default=20, help="of each pool (default 20)")
    parser.add_argument("--idle", type=float, default=120, help="seconds at rest (default 120)")
    parser.add_argument("--changes", type=int, default=20, help="endpoint changes that are timed (default 20)")
    options = parser.parse_args()
    return command.run("operator", options, lambda: measured(options))


if __name__ == "__main__":
    sys.exit(main())
