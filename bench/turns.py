"""Gateways that are loaded in turns: ratios are taken round by round, so that other load on the machine distorts both
sides of a ratio alike."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from bench import command, machine, report, targets
from bench.measure import Round, measure
from bench.scenes import Scene
from bench.targets import Bench, Target

Rounds = Mapping[str, Sequence[Round]]
"""By name of the target."""


@contextmanager
def with_upstream() -> Iterator[Bench]:
    """A bench whose server runs; everything that is started in it ends with it."""
    load_core, target_core = machine.cores()
    with tempfile.TemporaryDirectory(prefix="mcppool-bench-") as directory, ExitStack() as stack:
        bench = Bench(Path(directory), load_core, target_core, stack)
        targets.start_upstream(bench)
        yield bench


def in_turns(
    bench: Bench,
    running: Sequence[Target],
    scene: Scene,
    options: argparse.Namespace,
    where: str = "",
    load: Callable[[Bench, Target, Scene, int], Round] = measure,
) -> Rounds:
    """Load each of them in each round, every other round in the reverse order. `options` has `rounds` and `seconds`."""
    for target in running:
        load(bench, target, scene, 1)
    rounds: dict[str, list[Round]] = {target.name: [] for target in running}
    for number in range(options.rounds):
        for target in running[:: 1 if number % 2 else -1]:
            rounds[target.name].append(load(bench, target, scene, options.seconds))
        costs = ", ".join(f"{name} {each[-1].cpu * 1e6:.1f}" for name, each in rounds.items())
        command.say(f"{where}round {number + 1} of {options.rounds}: {costs} µs/call")
    return rounds


def ratio(rounds: Rounds, name: str, beside: str, figure: str = "cpu") -> str:
    """The ratio of one target to another: its median and its range, as text."""
    found = report.ratios(rounds[name], rounds[beside], figure)
    return report.shown([median(found), min(found), max(found)])


def cost(rounds: Sequence[Round]) -> str:
    """The CPU time of a call in microseconds, as text."""
    return f"{report.middle(rounds, 'cpu') * 1e6:.1f}"


def others(*found: Rounds) -> float:
    """The largest share of the cores that other processes took in the rounds of a target."""
    return max((report.middle(each, "others") for rounds in found for each in rounds.values()), default=0.0)


def title(options: argparse.Namespace) -> str:
    """What was measured, above a table."""
    clients = report.counted(options.clients, "client")
    return f"**modern era, {clients}** ({options.rounds} rounds of {options.seconds} s)\n\n"


def figures(rounds: Rounds) -> dict[str, Any]:
    """All rounds, as JSON."""
    return {name: [asdict(each) for each in some] for name, some in rounds.items()}
