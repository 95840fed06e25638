"""A scene: a trace that is replayed under a configuration, before and after the advice on it."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mcppool.advise.advice import Advice
from mcppool.advise.facts import PoolFacts, ToolFacts
from mcppool.policy.peak_ewma import PeakEwma
from mcppool.spec.values import parse_duration

SECONDS = 300.0
SLOT = 10.0

Settings = dict[str, Any]
Replay = Callable[[Settings], tuple[float, PoolFacts]]


@dataclass(frozen=True)
class Scene:
    """A trace: `replay` returns the figure that should fall, and the facts that a gateway would have observed."""

    name: str
    figure: str
    settings: Settings
    rule: Callable[[PoolFacts], Iterator[Advice]]
    replay: Replay


@dataclass
class Server:
    """An endpoint with a fixed time for each call."""

    key: str
    time: float
    active: int = 0
    weight: float = 100.0
    full_weight: float = 100.0
    score: float = 1.0
    attempts: int = 0
    latency: PeakEwma = field(default_factory=PeakEwma)


class InFlight:
    """Calls in flight, as the history of a gateway has them: at the end of each slot, and the peak in each."""

    def __init__(self) -> None:
        self.at_ends: list[int] = []
        self.peaks: list[int] = []
        self._ends: list[float] = []
        self._peak = 0
        self._slot = SLOT

    def begin(self, now: float, end: float) -> None:
        """A call begins, and ends at `end`. Calls come in the order of `now`."""
        self.forget(now)
        heapq.heappush(self._ends, end)
        self._peak = max(self._peak, len(self._ends))

    def forget(self, now: float) -> int:
        """Forget the calls that have ended; returns the number of the others."""
        while now >= self._slot:
            self._drop(self._slot)
            self.at_ends.append(len(self._ends))
            self.peaks.append(max(self._peak, len(self._ends)))
            self._peak = len(self._ends)
            self._slot += SLOT
        self._drop(now)
        return len(self._ends)

    def _drop(self, now: float) -> None:
        while self._ends and self._ends[0] <= now:
            heapq.heappop(self._ends)

    def facts(self) -> dict[str, tuple[int, ...]]:
        """The fields of `PoolFacts`."""
        return {"in_flight": tuple(self.at_ends), "peaks": tuple(self.peaks)}


def seconds(value: Any) -> float:
    return parse_duration(value) if isinstance(value, str) else float(value)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def facts(settings: Settings, **more: Any) -> PoolFacts:
    return PoolFacts("p", SECONDS, settings, **more)


def tool(times: list[float], name: str = "find", **more: Any) -> ToolFacts:
    p50, p95, p99 = (percentile(times, share) for share in (0.5, 0.95, 0.99))
    return ToolFacts(name, len(times), p50=p50, p95=p95, p99=p99, **more)


def arrivals(rate: float | Callable[[float], float], rng: random.Random) -> Iterator[float]:
    """Times of a Poisson process; the rate may depend on the time."""
    now = 0.0
    while True:
        now += rng.expovariate(rate(now) if callable(rate) else rate)
        if now >= SECONDS:
            return
        yield now


def run(scene: Scene) -> tuple[float, float, Settings]:
    """The figure before and after the advice, and the proposed values. Raises ValueError if there is no advice."""
    before, observed = scene.replay(scene.settings)
    proposed = {change.key: change.proposed for advice in scene.rule(observed) for change in advice.changes}
    if not proposed:
        raise ValueError(f"no advice on {scene.name}")
    after, _ = scene.replay({**scene.settings, **proposed})
    return before, after, proposed
