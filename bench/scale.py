"""`make bench-scale`: large answers, slow readers, many streams, sessions and endpoints.

Each part starts gateways of its own (profile `production`) on one core; the clients of this process, the upstream and
wrk have the other. Memory is the growth of the gateway's resident memory, with the bytes that wait for its clients in
the kernel beside it. CPU times are compared in turns, as in `make bench`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from bench import client, command, crowd, machine, report, targets
from bench.command import Result, say
from bench.measure import Round, measure
from bench.scenes import KIB, MIB, TOOLS, Scene, named
from bench.targets import Bench, Target

SETTLING = 40.0
"""Seconds in which a gateway with many endpoints checks them all, opens the connections of its floor, and ends their
slow start."""
WARMING = 2
"""Seconds of load before each round with many endpoints: calls open the connections that have become stale."""
RESTING = 10.0
"""Seconds for which CPU time without calls is measured."""

SETTLED = 1.0
"""Seconds without growth after which memory counts as settled, ..."""
LONGEST = 20.0
"""... and seconds after which it is taken as it is."""
PLAIN = Scene("json", "the plain case")
LEGACY = Scene("legacy", "a session for each client", era="legacy")


@dataclass(frozen=True)
class Finding:
    """One figure beside its bound; `others` is the share of both cores that other processes took, if that matters."""

    what: str
    figure: float
    unit: str
    most: float | None = None
    detail: str = ""
    others: float = 0.0

    @property
    def missed(self) -> bool:
        return self.most is not None and self.figure > self.most


Part = Callable[[Bench, argparse.Namespace], Awaitable[list[Finding]]]
PARTS: dict[str, Part] = {}


def part(name: str) -> Callable[[Part], Part]:
    def keep(function: Part) -> Part:
        PARTS[name] = function
        return function

    return keep


# --- CPU time -------------------------------------------------------------------------------------------------------


def in_turns(
    bench: Bench, options: argparse.Namespace, loads: Sequence[tuple[Target, Scene, Path | None]], warm: int = 0
) -> list[list[Round]]:
    """Load each target in turns; return the rounds of each. A first second of each does not count, nor do the `warm`
    seconds of load before each round."""
    for target, scene, sessions in loads:
        measure(bench, target, scene, 1, sessions)
    found: list[list[Round]] = [[] for _ in loads]
    for _ in range(options.rounds):
        for rounds, (target, scene, sessions) in zip(found, loads, strict=True):
            if warm:
                measure(bench, target, scene, warm, sessions)
            rounds.append(measure(bench, target, scene, options.seconds, sessions))
    return found


def cpu_finding(what: str, rounds: Sequence[Sequence[Round]], most: float | None, peer: str) -> Finding:
    ours, theirs = rounds
    ratio = median(report.ratios(ours, theirs, "cpu"))
    costs = [report.middle(rounds, "cpu") * 1e6 for rounds in (ours, theirs)]
    others = max(report.middle(rounds, "others") for rounds in (ours, theirs))
    return Finding(what, ratio, "×", most, f"{costs[0]:,.1f} µs beside {costs[1]:,.1f} µs of {peer}", others)


@part("large")
async def large(bench: Bench, options: argparse.Namespace) -> list[Finding]:
    """CPU time of a 1 MiB answer beside nginx."""
    ours, nginx = targets.mcppool(bench, "large"), targets.nginx(bench)
    for target in (ours, nginx):
        client.check(target.name, target.url, "modern")
    found = []
    for scene in named(["1 MiB", "1 MiB sse"]):
        rounds = in_turns(bench, options, [(ours, scene, None), (nginx, scene, None)])
        found.append(cpu_finding(f"CPU of an answer, {scene.name}", rounds, most=1.3, peer="nginx"))
    stop(ours, nginx)
    return found


@part("endpoints")
async def endpoints(bench: Bench, options: argparse.Namespace) -> list[Finding]:
    """CPU time per call with many endpoints beside three, without the time that the gateway takes at rest; that time;
    and the same of nginx and of a proxy that only passes bytes on, in turns: more sockets and objects than the caches
    of the processor hold cost every proxy (decision 0027).

    Seconds of load precede each round. While the others are loaded, connections to servers become stale, and a round
    would begin with a new one for each endpoint."""
    few_of_them = bench.upstreams[: targets.ENDPOINTS]
    many, few = targets.mcppool(bench, "many", endpoints=bench.upstreams), targets.mcppool(bench, "few")
    proxies = [make(bench, each) for make in (targets.nginx, targets.bare) for each in (bench.upstreams, few_of_them)]
    await asyncio.sleep(SETTLING)
    idle = [await cpu_at_rest(target) for target in (many, few)]
    rounds = in_turns(bench, options, [(target, PLAIN, None) for target in (many, few, *proxies)], WARMING)
    stop(many, few, *proxies)
    ours, nginx, bare = without_rest(rounds[:2], idle), rounds[2:4], rounds[4:]
    count, peer = len(bench.upstreams), f"{targets.ENDPOINTS} endpoints"
    return [
        cpu_finding(f"CPU per call with {count:,} endpoints", ours, most=1.05, peer=peer),
        Finding(f"CPU without calls, {count:,} endpoints", idle[0] * 100, "% of a core", 3.0, f"{idle[1]:.1%} with 3"),
        cpu_finding(f"CPU per call of nginx with {count:,} endpoints", nginx, most=None, peer=peer),
        cpu_finding(f"CPU per call of a proxy that only passes bytes on, {count:,} endpoints", bare, None, peer),
        extra_finding(f"CPU that {count:,} endpoints add to a call, beside nginx", ours, nginx, most=1.0),
    ]


def extra_finding(
    what: str, ours: Sequence[Sequence[Round]], theirs: Sequence[Sequence[Round]], most: float
) -> Finding:
    """Compare what the first of two loads costs more than the second: for us, and for nginx."""
    extra = [1e6 * (report.middle(more, "cpu") - report.middle(less, "cpu")) for more, less in (ours, theirs)]
    detail = f"{extra[0]:,.1f} µs beside {extra[1]:,.1f} µs of nginx"
    return Finding(what, extra[0] / max(extra[1], 0.1), "×", most, detail)


async def cpu_at_rest(target: Target) -> float:
    """Return the CPU seconds per second that a target takes without calls."""
    assert target.process is not None
    began = target.process.cpu_seconds()
    await asyncio.sleep(RESTING)
    return (target.process.cpu_seconds() - began) / RESTING


def without_rest(rounds: Sequence[Sequence[Round]], idle: Sequence[float]) -> list[list[Round]]:
    """Return the rounds of each target without its CPU time at rest: a call costs a share of that which depends on the
    rate of calls only."""
    return [
        [replace(one, cpu=one.cpu - rest / one.rate) for one in each] for each, rest in zip(rounds, idle, strict=True)
    ]


# --- memory ---------------------------------------------------------------------------------------------------------


async def settled(target: Target) -> int:
    """Return the resident bytes once they have not grown for a while."""
    assert target.process is not None
    deadline = time.monotonic() + LONGEST
    last, since = target.process.resident_bytes(), time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - since < SETTLED:
        await asyncio.sleep(0.1)
        now = target.process.resident_bytes()
        if now > last + 64 * KIB:
            since = time.monotonic()
        last = now
    return last


def queued(target: Target) -> int:
    """Return the bytes that wait in the kernel for the clients of a target."""
    port = int(re.search(r":(\d+)/", target.url)[1])  # type: ignore[index]
    total = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, _, queues, *_ = line.split()
        if int(local.partition(":")[2], 16) == port:
            total += int(queues.partition(":")[0], 16)
    return total


@part("readers")
async def readers(bench: Bench, options: argparse.Namespace) -> list[Finding]:
    """Memory for clients that take their large answers slowly; all get them in the end."""
    return [await slow_readers(bench, options.readers, answer) for answer in ("json", "uvicorn")]


async def slow_readers(bench: Bench, count: int, answer: str) -> Finding:
    """The same for one form of answer, a key of `TOOLS`."""
    pool = "max_connections = 1000"  # an answer that is being read keeps its connection to the endpoint
    target = targets.mcppool(bench, f"readers-{answer}", connection_pool=pool)
    tool = TOOLS[answer]
    warm = [crowd.SlowReader(target.url, number, MIB, tool) for number in range(32)]
    await asyncio.gather(*(each.ask() for each in warm))
    await asyncio.gather(*(each.read(0) for each in warm))
    before = await settled(target)
    slow = [crowd.SlowReader(target.url, number, MIB, tool) for number in range(count)]
    await asyncio.gather(*(each.ask() for each in slow))
    waiting, in_kernel = await settled(target), queued(target)
    peak = waiting
    reading = asyncio.gather(*(each.read(0.05) for each in slow))
    assert target.process is not None
    while not reading.done():
        peak = max(peak, target.process.resident_bytes())
        await asyncio.sleep(0.1)
    await reading
    for each in (*warm, *slow):
        each.close()
    stop(target)
    held, kept = per(waiting - before, count, KIB), per(in_kernel, count, KIB)
    form = "JSON" if answer == "json" else "event stream"
    return Finding(
        f"memory per slow reader of 1 MiB, {form}, {count:,} readers",
        (peak - before) / count / KIB,
        "KiB",
        300,
        f"while nobody reads: {held} KiB, and {kept} KiB in the kernel",
    )


@part("streams")
async def streams(bench: Bench, options: argparse.Namespace) -> list[Finding]:
    """Memory of open event streams, beyond that of their sessions."""
    target = targets.mcppool(bench, "streams")
    count = options.streams
    ids = await crowd.sessions(target.url, count)
    before = await settled(target)
    opened = await crowd.streams(target.url, ids)
    after = await settled(target)
    for each in opened:
        each.close()
    stop(target)
    return [Finding(f"memory per open event stream, {count:,} streams", (after - before) / count / 1e3, "KB", 20)]


@part("sessions")
async def sessions(bench: Bench, options: argparse.Namespace) -> list[Finding]:
    """Memory of idle sessions, and CPU per call beside a gateway without them."""
    target, empty = targets.mcppool(bench, "sessions"), targets.mcppool(bench, "empty")
    count = options.sessions
    await crowd.sessions(target.url, 200)  # what a gateway allocates once
    before = await settled(target)
    await crowd.sessions(target.url, count)
    after = await settled(target)
    held = metric(target, "mcppool_pool_sessions")
    loads = [(each, LEGACY, session_file(bench, each)) for each in (target, empty)]
    rounds = in_turns(bench, options, loads)
    stop(target, empty)
    return [
        Finding(
            f"memory per idle session, {count:,} sessions", (after - before) / count / 1e3, "KB", 2, f"{held:,.0f} held"
        ),
        cpu_finding(
            f"CPU per call of a session beside {count:,} idle ones", rounds, most=1.05, peer="a gateway without them"
        ),
    ]


def session_file(bench: Bench, target: Target) -> Path:
    file = bench.directory / f"sessions-{target.name}"
    file.write_text("\n".join(client.sessions(target.name, target.url, LEGACY.clients)) + "\n")
    return file


def metric(target: Target, name: str) -> float:
    """Return the sum of a metric."""
    with urllib.request.urlopen(f"{target.admin}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))


def per(total: float, count: int, unit: int) -> str:
    return f"{total / count / unit:,.0f}"


def stop(*some: Target) -> None:
    for target in some:
        if target.process is not None:
            target.process.stop()


# --- the page -------------------------------------------------------------------------------------------------------


def markdown(versions: dict[str, str], findings: Sequence[Finding]) -> str:
    rows = [
        [
            each.what, f"{shown(each.figure)} {each.unit}", f"{each.most:g}" if each.most is not None else "",
            "" if each.most is None else "missed" if each.missed else "held",
            each.detail + (" (noisy)" if each.others > report.NOISY else ""),
        ]
        for each in findings
    ]  # fmt: skip
    return f"{report.versions_line(versions)}\n\n{report.table(['', 'figure', 'at most', '', 'detail'], rows)}"


def shown(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.2f}"


async def run(options: argparse.Namespace) -> list[Finding]:
    load_core, target_core = machine.cores()
    os.sched_setaffinity(0, {load_core})
    found = []
    with tempfile.TemporaryDirectory(prefix="mcppool-bench-") as directory, ExitStack() as stack:
        bench = Bench(Path(directory), load_core, target_core, stack)
        targets.start_upstream(bench, max(options.endpoints, targets.ENDPOINTS))
        for name in options.parts:
            for finding in await PARTS[name](bench, options):
                found.append(finding)
                say(f"{name}: {finding.what}: {shown(finding.figure)} {finding.unit} {finding.detail}")
    return found


def measured(options: argparse.Namespace) -> Result:
    findings = asyncio.run(run(options))
    return Result(
        markdown(machine.versions(), findings),
        {"findings": [asdict(each) for each in findings]},
        max((each.others for each in findings), default=0.0),
        broken=tuple(f"{each.what}: {shown(each.figure)} {each.unit}" for each in findings if each.missed),
    )


def main() -> int:
    parser = command.parser(__doc__)
    command.add_rounds(parser, 9)
    parser.add_argument(
        "--parts", type=report.choices(list(PARTS)), default=list(PARTS), help=f"some of {','.join(PARTS)}"
    )
    parser.add_argument("--readers", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--sessions", type=int, default=50_000)
    parser.add_argument("--endpoints", type=int, default=1000)
    options = parser.parse_args()
    return command.run("scale", options, lambda: measured(options))


if __name__ == "__main__":
    sys.exit(main())
