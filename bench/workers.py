"""`make bench-workers`: a gateway of two processes beside one of one process, and beside two gateways of one process.

Each runs twice. First on the measured core alone: CPU time per call, the supervisor's included. There two processes
take turns, and displace each other's data from the caches of the core, which workers on cores of their own do not. So
like is compared with like: two gateways of one process, which share nothing, run side by side on that core, each with
half of the clients. A gateway of two processes must hardly cost more. Then all run on both cores, which they share with
the load generator and the server: calls per second, which tell what a client of this machine gets, and not how the
gateway scales. All are loaded in turns, and ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from bench import command, machine, report, targets, turns
from bench.command import Result
from bench.measure import Round, measure_together
from bench.processes import Process
from bench.scenes import Scene
from bench.targets import Bench, Target
from bench.turns import Rounds, in_turns, with_upstream

AIM = 1.05
"""Upper bound on the ratio of two processes to two gateways side by side, in CPU time per call."""
LIMITS = """
[pools.rate_limit]
pool = {requests_per_second = 1000000}
[pools.limits.pool]
max_concurrent = 100000
"""


@dataclass(frozen=True)
class Kind:
    """A row: so many gateways of so many processes each. `first` is the row of one process, `beside` that of two
    gateways."""

    gateways: int
    workers: int
    sections: str = ""
    first: str = ""
    beside: str = ""


KINDS = {
    "1 process": Kind(1, 1),
    "2 gateways": Kind(2, 1, first="1 process"),
    "2 processes": Kind(1, 2, first="1 process", beside="2 gateways"),
    "1 process, limits": Kind(1, 1, LIMITS),
    "2 gateways, limits": Kind(2, 1, LIMITS, "1 process, limits"),
    "2 processes, limits": Kind(1, 2, LIMITS, "1 process, limits", "2 gateways, limits"),
}


class SideBySide:
    """Several processes that are measured as one: see `Process`."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes

    def pids(self) -> list[int]:
        return [pid for process in self._processes for pid in process.pids()]

    def cpu_seconds(self) -> float:
        return sum(process.cpu_seconds() for process in self._processes)


def measure_all(options: argparse.Namespace) -> tuple[Rounds, Rounds]:
    """The rounds on one core, and those on both cores."""
    scene = Scene("workers", "several processes", clients=options.clients)
    with with_upstream() as bench:
        rows = {name: started(bench, name, kind) for name, kind in KINDS.items()}
        running = [gateways[0] for gateways in rows.values()]
        load = partial(together, rows)
        alone = in_turns(bench, running, scene, options, "one core, ", load)
        for target in running:
            spread(target, bench.cores)
        return alone, in_turns(bench, running, scene, options, "both cores, ", load)


def started(bench: Bench, name: str, kind: Kind) -> list[Target]:
    """Start the gateways of a row; each has the processes of all as its own."""
    found = [
        targets.mcppool(bench, f"{name} {number}", kind.sections, listener=f"workers = {kind.workers}")
        for number in range(kind.gateways)
    ]
    processes = SideBySide([target.process for target in found if target.process is not None])
    return [replace(target, name=name, process=cast("Process", processes)) for target in found]


def together(rows: Mapping[str, Sequence[Target]], bench: Bench, target: Target, scene: Scene, seconds: int) -> Round:
    """Load the gateways of a row with two load generators at the same time, each with half of the clients."""
    gateways = rows[target.name]
    return measure_together(bench, target, [gateways[0], gateways[-1]], scene, seconds)


def spread(target: Target, cores: Sequence[int]) -> None:
    """Let all threads of a target run on these cores."""
    assert target.process is not None
    for pid in target.process.pids():
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), cores)


def table(alone: Rounds, spread_out: Rounds) -> str:
    rows = []
    for name, each in alone.items():
        first, beside = KINDS[name].first, KINDS[name].beside
        one = turns.ratio(alone, name, first) if first else ""
        two = turns.ratio(alone, name, beside) if beside else ""
        rates = turns.ratio(spread_out, name, first, "rate") if first else ""
        rate = f"{report.middle(spread_out[name], 'rate'):,.0f}"
        noise = report.noise(report.middle(each, "others"))
        rows.append([name, turns.cost(each), one, two, f"≤ {AIM}" if two else "", rate, rates, noise])
    heads = ["", "CPU µs/call, one core", "÷ 1", "÷ 2 gateways", "aim", "calls/s, both cores", "÷ 1 ", "others"]
    return report.table(heads, rows)


def measured(options: argparse.Namespace) -> Result:
    alone, spread_out = measure_all(options)
    text = f"{report.versions_line(machine.versions())}\n\n{turns.title(options)}{table(alone, spread_out)}"
    kept = {"one core": turns.figures(alone), "both cores": turns.figures(spread_out)}
    return Result(text, {"rounds": kept}, turns.others(alone, spread_out))


def main() -> int:
    parser = command.parser(__doc__)
    command.add_rounds(parser, 11)
    parser.add_argument("--clients", type=int, default=32, help="connections (default 32)")
    options = parser.parse_args()
    return command.run("workers", options, lambda: measured(options))


if __name__ == "__main__":
    sys.exit(main())
