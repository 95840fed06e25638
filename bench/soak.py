"""`make bench-soak`: a million calls while replicas fail in every way; then the gateway must hold no more than before.

wrk brings the bulk, of both eras; clients that record each call bring reads, writes and invented tools, and open and
abandon sessions. One replica shows each fault in turn; one is killed, one is hung, in each round. The gateway is
examined when it is quiet: after a first round, and after the last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import client, command, machine, report
from bench.command import Result, say
from bench.faults.clients import LEGACY, MODERN, Client, Record
from bench.processes import Failed
from tests.servers import Gateway, SwitchedReplica, aserving, pool_toml, urls_of
from tests.servers.fault_replica import FAULTS
from tests.servers.kinds import fault_replica

LUA = Path(__file__).with_name("load.lua")
STEP = 2.0  # seconds of each fault
QUIET = 60.0  # seconds after which all used resources must be released
MEMORY = 1.1  # growth factor that the fragmentation of the allocator may cause
SLACK = 3  # of sockets and tasks: connections kept ahead of demand come and go
LINES = 8  # of the metrics page: a new outcome adds one, and their number is bounded
LEGACY_CLIENTS = 16

SECTIONS = """
[pools.connection_pool]
min_connections = 0
health_check_interval = "500ms"
reconnect_backoff = "100ms"
max_reconnect_backoff = "500ms"
[pools.health_check]
timeout = "500ms"
[pools.outlier_detection]
base_ejection_time = "1s"
max_ejection_time = "1s"
[pools.circuit_breaker]
open_duration = "1s"
[pools.load_balancer]
slow_start = "500ms"
[pools.sessions]
idle_timeout = "10s"
"""


@dataclass(frozen=True)
class Holdings:
    """The gateway's holdings at one moment; `resident` is in MB, `series` is the number of lines on its metrics
    page."""

    resident: float
    descriptors: int
    sockets: int
    tasks: int
    sessions: int
    series: int

    @staticmethod
    def of(gateway: Gateway) -> Holdings:
        lines = [line for line in gateway.get("/metrics")[1].splitlines() if line and not line.startswith("#")]
        values = {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
        links = [_link(path) for path in Path(f"/proc/{gateway.pid}/fd").iterdir()]
        return Holdings(
            resident=values["process_resident_memory_bytes"] / 1e6,
            descriptors=len(links),
            sockets=sum(link.startswith("socket:") for link in links),
            tasks=int(values["mcppool_tasks"]),
            sessions=int(sum(value for name, value in values.items() if name.startswith("mcppool_pool_sessions"))),
            series=len(lines),
        )

    def grown(self, since: Holdings) -> list[str]:
        """The holdings that have grown."""
        allowed = Holdings(
            resident=since.resident * MEMORY,
            descriptors=since.descriptors + SLACK,
            sockets=since.sockets + SLACK,
            tasks=since.tasks + SLACK,
            sessions=since.sessions,
            series=since.series + LINES,
        )
        now, most = asdict(self), asdict(allowed)
        return [f"{name} {now[name]:g}, more than {most[name]:g}" for name in now if now[name] > most[name]]


def _link(path: Path) -> str:
    with suppress(OSError):
        return str(path.readlink())
    return ""


async def quiet(gateway: Gateway, than: Holdings | None = None) -> Holdings:
    """The holdings once nothing is in use any more: when they have not changed for two seconds, or are no more than
    `than`; after `QUIET` seconds in any case."""
    deadline = time.monotonic() + QUIET
    last, since = await asyncio.to_thread(Holdings.of, gateway), time.monotonic()
    while time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        now = await asyncio.to_thread(Holdings.of, gateway)
        if (now.sockets, now.tasks, now.sessions) != (last.sockets, last.tasks, last.sessions):
            last, since = now, time.monotonic()
        settled = time.monotonic() - since > 2 and now.sessions == 0
        if settled and (than is None or not now.grown(than)):
            return now
    return now


async def wrk(url: str, seconds: float, clients: int, era: str, sessions: Path | None) -> int:
    """Calls that were answered with 2xx. Raises Failed if wrk itself fails."""
    argv = ["-t1", f"-c{clients}", f"-d{int(seconds)}s", "-s", str(LUA), url, "--", f"era={era}"]
    process = await asyncio.create_subprocess_exec(
        machine.tool("wrk"), *argv, *([f"sessions={sessions}"] if sessions else []), stdout=asyncio.subprocess.PIPE
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), seconds + 20)
    finally:
        if process.returncode is None:
            process.kill()
    found = re.search(rb"^RESULT (.*)$", output, re.M)
    if found is None:
        raise Failed(f"wrk ended with status {process.returncode}")
    result = json.loads(found[1])
    return int(result["calls"]) - int(sum(result["errors"].values()))


async def round_of_faults(replicas: Sequence[SwitchedReplica], wanted: asyncio.Event) -> None:
    """Each fault once, until stopped; the replicas are healthy at the end."""
    try:
        for fault in FAULTS:
            if wanted.is_set():
                return
            await asyncio.to_thread(replicas[1].show, fault)
            await asyncio.sleep(STEP)
        await asyncio.to_thread(replicas[1].show, "none")
        await asyncio.to_thread(replicas[1].forget_sessions)
        replicas[0].kill()
        await asyncio.sleep(STEP)
        await replicas[0].restart()
        replicas[2].pause()
        await asyncio.sleep(2 * STEP)
    finally:
        replicas[2].resume()
        with suppress(OSError):
            await asyncio.to_thread(replicas[1].show, "none")


async def made_up(url: str, number: int) -> None:
    """Tools that no server has, and a session that is never ended."""

    def ask() -> None:
        for n in range(20):
            caller = client.Client("soak", url, MODERN)
            with suppress(Failed, OSError):
                caller.ask(n, "tools/call", {"name": f"made-up-{number}-{n}", "arguments": {}})
            caller.close()
        for _ in range(5):
            caller = client.Client("soak", url, LEGACY)
            with suppress(Failed, OSError):
                caller.initialize()
            caller.close()

    await asyncio.to_thread(ask)


async def one_round(front: Gateway, replicas: Sequence[SwitchedReplica], number: int, folder: Path) -> tuple[int, int]:
    """All faults under load; returns the answered calls, and the failed calls of the recording clients."""
    sessions = folder / f"sessions-{number}"
    opened = await asyncio.to_thread(client.sessions, "mcppool", front.url, LEGACY_CLIENTS)
    sessions.write_text("\n".join(opened) + "\n")
    length = STEP * (len(FAULTS) + 3) + 2
    records: list[Record] = []
    stop = asyncio.Event()
    clients = [
        Client(n + 1, (MODERN, LEGACY)[n % 2], [front.url], pause=0.05, writes=0.5, records=records) for n in range(8)
    ]
    lookers = [asyncio.create_task(each.run(stop)) for each in clients]
    faults = asyncio.create_task(round_of_faults(replicas, stop))
    try:
        counts = await asyncio.gather(
            wrk(front.url, length, 24, MODERN, None),
            wrk(front.url, length, LEGACY_CLIENTS, LEGACY, sessions),
            made_up(front.url, number),
        )
        await faults
    finally:
        stop.set()
        await asyncio.gather(*lookers, faults, return_exceptions=True)
    for replica in replicas:
        if replica.ledger is not None and replica.ledger.exists():
            replica.ledger.write_bytes(b"")  # their records are not used here
    return counts[0] + counts[1] + len(records), sum(record.failure is not None for record in records)


async def soak(calls: int, minutes: float) -> tuple[int, int, Holdings, Holdings]:
    """Calls made and failed, holdings before and after."""
    deadline = time.monotonic() + minutes * 60
    with tempfile.TemporaryDirectory(prefix="mcppool-soak-") as name:
        folder = Path(name)
        async with aserving(*(fault_replica(name, folder / "ledger.jsonl") for name in "abc")) as replicas:
            pools = pool_toml(*urls_of(replicas), sections=SECTIONS)
            async with aserving(Gateway(folder, pools, profile="production", level="warning")) as (front,):
                await one_round(front, replicas, 0, folder)
                before = await quiet(front)
                say(f"before: {before}")
                made = failed = number = 0
                while made < calls and time.monotonic() < deadline:
                    number += 1
                    more, lost = await one_round(front, replicas, number, folder)
                    made, failed = made + more, failed + lost
                    say(f"round {number}: {made:,} calls, {front.metric('process_resident_memory_bytes') / 1e6:.1f} MB")
                after = await quiet(front, before)
    return made, failed, before, after


def markdown(made: int, failed: int, before: Holdings, after: Holdings) -> str:
    names = {"resident": "resident MB", "series": "lines of metrics", "descriptors": "file descriptors"}
    first, last = asdict(before), asdict(after)
    rows = [[names.get(name, name), f"{first[name]:.0f}", f"{last[name]:.0f}"] for name in first]
    head = f"{made:,} calls, of which {failed:,} writes failed at the replica that had a fault."
    return f"{head}\n\n{report.table(['held when quiet', 'before', 'after'], rows)}"


def measured(options: argparse.Namespace) -> Result:
    made, failed, before, after = asyncio.run(soak(options.calls, options.minutes))
    figures = {"calls": made, "failed": failed, "before": asdict(before), "after": asdict(after)}
    return Result(markdown(made, failed, before, after), figures, broken=tuple(after.grown(before)))


def main() -> int:
    parser = command.parser(__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=20, help="end then, however many calls there were")
    options = parser.parse_args()
    return command.run("soak", options, lambda: measured(options))


if __name__ == "__main__":
    sys.exit(main())
