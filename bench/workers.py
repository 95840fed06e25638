"""`make bench-workers`: a gateway of two processes beside one of one process.

Each gateway runs twice. First on the measured core alone: CPU time per call, the supervisor's included, which several
processes must hardly raise. Then on both cores, which it shares with the load generator and the server: calls per
second, which tell what a client of this machine gets, and not how the gateway scales. All are loaded in turns, and
ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from bench import command, machine, report, targets, turns
from bench.command import Result
from bench.scenes import Scene
from bench.targets import Target
from bench.turns import Rounds, in_turns, with_upstream

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


def measure_all(options: argparse.Namespace) -> tuple[Rounds, Rounds]:
    """The rounds on one core, and those on both cores."""
    scene = Scene("workers", "several processes", clients=options.clients)
    with with_upstream() as bench:
        running = [
            targets.mcppool(bench, name, sections, listener=f"workers = {count}")
            for name, (count, sections) in KINDS.items()
        ]
        alone = in_turns(bench, running, scene, options, "one core, ")
        for target in running:
            spread(target, bench.cores)
        return alone, in_turns(bench, running, scene, options, "both cores, ")


def spread(target: Target, cores: Sequence[int]) -> None:
    """Let all threads of a target run on these cores."""
    assert target.process is not None
    for pid in target.process.pids():
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), cores)


def table(alone: Rounds, together: Rounds) -> str:
    rows = []
    for name, each in alone.items():
        ratio, rates, aim = "", "", ""
        if name in BESIDE:
            ratio = turns.ratio(alone, name, BESIDE[name])
            rates = turns.ratio(together, name, BESIDE[name], "rate")
            aim = f"≤ {AIM}" if name == TWO else ""
        rate = f"{report.middle(together[name], 'rate'):,.0f}"
        rows.append([name, turns.cost(each), ratio, aim, rate, rates, report.noise(report.middle(each, "others"))])
    heads = ["`listener.workers`", "CPU µs/call, one core", "÷ 1", "aim", "calls/s, both cores", "÷ 1 ", "others"]
    return report.table(heads, rows)


def measured(options: argparse.Namespace) -> Result:
    alone, together = measure_all(options)
    text = f"{report.versions_line(machine.versions())}\n\n{turns.title(options)}{table(alone, together)}"
    kept = {"one core": turns.figures(alone), "both cores": turns.figures(together)}
    return Result(text, {"rounds": kept}, turns.others(alone, together))


def main() -> int:
    parser = command.parser(__doc__)
    command.add_rounds(parser, 11)
    parser.add_argument("--clients", type=int, default=32, help="connections (default 32)")
    options = parser.parse_args()
    return command.run("workers", options, lambda: measured(options))


if __name__ == "__main__":
    sys.exit(main())
