"""`make bench-workers`: a gateway of two processes beside one of one process.

Each gateway runs twice. First on the measured core alone: CPU time per call, the supervisor's included, which several
processes must hardly raise. Then on both cores, which it shares with the load generator and the server: calls per
second, which tell what a client of this machine gets, and not how the gateway scales. All are loaded in turns, and
ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from bench import machine, report, targets
from bench.measure import Round, measure
from bench.processes import Failed
from bench.scenes import Scene
from bench.targets import Bench, Target

AIM = 1.05
"""Upper bound on the ratio of two processes to one, in CPU time per call."""
LIMITS = """
[pools.rate_limit]
pool = {requests_per_second = 1000000}
[pools.limits.pool]
max_concurrent = 100000
"""
ONE, TWO, LIMITED_ONE, LIMITED_TWO = "1 process", "2 processes", "1 process, with limits", "2 processes, with limits"
KINDS = {ONE: (1, ""), TWO: (2, ""), LIMITED_ONE: (1, LIMITS), LIMITED_TWO: (2, LIMITS)}
"""Name of a row → number of processes, and sections of the pool."""
BESIDE = {TWO: ONE, LIMITED_TWO: LIMITED_ONE}

Rounds = Mapping[str, Sequence[Round]]


def measure_all(options: argparse.Namespace) -> tuple[Rounds, Rounds]:
    """The rounds on one core, and those on both cores."""
    load_core, target_core = machine.cores()
    with tempfile.TemporaryDirectory(prefix="mcppool-bench-") as directory, ExitStack() as stack:
        bench = Bench(Path(directory), load_core, target_core, stack)
        targets.start_upstream(bench)
        running = [
            targets.mcppool(bench, name, sections, listener=f"workers = {count}")
            for name, (count, sections) in KINDS.items()
        ]
        alone = in_turns(bench, running, options, "one core")
        for target in running:
            spread(target, bench.cores)
        return alone, in_turns(bench, running, options, "both cores")


def in_turns(bench: Bench, running: Sequence[Target], options: argparse.Namespace, where: str) -> Rounds:
    scene = Scene("workers", "several processes", clients=options.clients)
    for target in running:
        measure(bench, target, scene, 1)
    rounds: dict[str, list[Round]] = {target.name: [] for target in running}
    for number in range(options.rounds):
        for target in running[:: 1 if number % 2 else -1]:
            rounds[target.name].append(measure(bench, target, scene, options.seconds))
        costs = ", ".join(f"{name} {each[-1].cpu * 1e6:.1f}" for name, each in rounds.items())
        print(f"{where}, round {number + 1} of {options.rounds}: {costs} µs/call", file=sys.stderr, flush=True)
    return rounds


def spread(target: Target, cores: Sequence[int]) -> None:
    """Let all threads of a target run on these cores."""
    assert target.process is not None
    for pid in target.process.pids():
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), cores)


def table(options: argparse.Namespace, alone: Rounds, together: Rounds) -> str:
    rows = []
    for name, each in alone.items():
        ratio, rates, aim = "", "", ""
        if name in BESIDE:
            ratio = shown([one.cpu / other.cpu for one, other in zip(each, alone[BESIDE[name]], strict=True)])
            pairs = zip(together[name], together[BESIDE[name]], strict=True)
            rates = shown([one.rate / other.rate for one, other in pairs])
            aim = f"≤ {AIM}" if name == TWO else ""
        cost = f"{report.middle(each, 'cpu') * 1e6:.1f}"
        rate = f"{report.middle(together[name], 'rate'):,.0f}"
        rows.append([name, cost, ratio, aim, rate, rates, report.noise(report.middle(each, "others"))])
    title = (
        f"**modern era, {report.counted(options.clients, 'client')}** ({options.rounds} rounds of {options.seconds} s)"
    )
    heads = ["`listener.workers`", "CPU µs/call, one core", "÷ 1", "aim", "calls/s, both cores", "÷ 1 ", "others"]
    return f"{title}\n\n" + report.table(heads, rows)


def shown(found: Sequence[float]) -> str:
    return report.shown([median(found), min(found), max(found)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=32, help="connections (default 32)")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=int, default=2, help="length of a round (default 2)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reference/benchmarks.md")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every started process is ended
    try:
        alone, together = measure_all(options)
        text = f"{report.versions_line(machine.versions())}\n\n{table(options, alone, together)}"
        print(text)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        parts = {"one core": alone, "both cores": together}
        kept = {
            part: {name: [asdict(each) for each in some] for name, some in rounds.items()}
            for part, rounds in parts.items()
        }
        report.save("workers", {"when": when, "rounds": kept})
        if options.write:
            report.write_section("workers", text)
    except Failed as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
