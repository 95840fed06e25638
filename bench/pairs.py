"""Pairs of gateways that are loaded at the same time on one core: whatever else the machine does slows both alike.

The scheduler changes between them every few milliseconds, so the ratio of their CPU time per call varies by 1 to 2 %
from round to round where that of gateways in turns varies by 10 %, and it hardly changes while others work. Both take
more than alone, because each finds the caches full of the other's data.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median, quantiles
from typing import Any, NamedTuple

from bench import command, report
from bench.measure import Round, measure_side_by_side
from bench.scenes import Scene
from bench.targets import Bench, Target


class Pair(NamedTuple):
    """The rounds of a target, and those of the first one that were at the same time."""

    first: list[Round]
    rounds: list[Round]

    @property
    def ratios(self) -> list[float]:
        """CPU time per call as a multiple of that of the first, round by round."""
        return report.ratios(self.rounds, self.first, "cpu")


Pairs = Mapping[str, Pair]
"""By name of the target that is compared with the first."""


def in_pairs(
    bench: Bench, first: Target, running: Sequence[Target], scene: Scene, options: argparse.Namespace
) -> Pairs:
    """Load each of `running` beside `first`, in each round; every other round begins with the other of a pair.
    `options` has `rounds` and `seconds`."""
    pairs = {target.name: Pair([], []) for target in running}
    for target in running:
        measure_side_by_side(bench, [first, target], scene, 1)
    for number in range(options.rounds):
        for target in running:
            order = [first, target][:: 1 if number % 2 else -1]
            found = measure_side_by_side(bench, order, scene, options.seconds)[:: 1 if number % 2 else -1]
            for side, measured in zip(pairs[target.name], found, strict=True):
                side.append(measured)
        shown = ", ".join(f"{name} {pair.ratios[-1]:.3f}" for name, pair in pairs.items())
        command.say(f"round {number + 1} of {options.rounds}: {shown}")
    return pairs


def shown(pair: Pair) -> str:
    """The median of the ratios, and their middle half, as text."""
    found = pair.ratios
    low, _, high = quantiles(found, n=4) if len(found) > 1 else (found[0],) * 3
    return f"{median(found):.3f} ({low:.2f}–{high:.2f})"


def figures(pairs: Pairs) -> dict[str, Any]:
    """All rounds, as JSON."""
    return {
        name: {side: [asdict(each) for each in some] for side, some in pair._asdict().items()}
        for name, pair in pairs.items()
    }
