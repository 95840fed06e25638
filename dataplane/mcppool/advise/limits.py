"""`limits`: calls in flight at one endpoint and in the pool."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Final

from mcppool.advise.advice import Advice, ProposedChange, percent, written
from mcppool.advise.facts import PoolFacts

ENOUGH_SLOTS: Final = 12
"""Slots with calls below which busy and quiet times cannot be compared."""

BUSIER: Final = 2.0
"""Ratio of calls in flight from which the busiest quarter of the slots differs from the quietest."""

SLOWER: Final = 3.0
"""Ratio of the median times of calls from which the endpoints have taken more calls than they can serve."""

AS_QUICK: Final = 1.5
"""Ratio up to which they serve busy times as quickly as quiet ones."""

CACHED: Final = 0.05
"""Share of calls with an answer from the cache from which the times of calls do not tell those of the endpoints: half a
slot's calls from the cache make its median that of the cache."""

REFUSED: Final = 0.01
"""Share of refused calls from which a limit is too low."""

FULL: Final = 0.8
"""Share of the places from which more replicas are needed, and not a queue."""

AUTO, PLACES, QUEUE = "limits.endpoint", "limits.endpoint.max_concurrent", "limits.endpoint.max_queue"
POOL = "limits.pool.max_concurrent"


def limits(facts: PoolFacts) -> Iterator[Advice]:
    """Advice if endpoints are slow when they are busy and nothing limits their calls, or if a limit refuses calls that
    the endpoints could take."""
    slower = _slower_when_busy(facts)
    if slower is not None and slower.times >= SLOWER and PLACES not in facts.settings:
        yield Advice(
            facts.name, "limits.auto", (ProposedChange(AUTO, None, "auto"),),
            "Calls take far longer when many are in flight: the endpoints get more calls than they can serve at once.",
            {
                "median time in quiet slots": written(slower.quiet), "in busy slots": written(slower.busy),
                "calls in flight in busy slots": slower.in_flight,
            },
            f"The endpoints get as many calls as they serve in about {written(slower.quiet)}; the others wait in the "
            "gateway, and are refused if too many wait.",
            "Do clients ask for more work with each call at busy times?",
        )  # fmt: skip
        return
    calls = sum(tool.calls for tool in facts.tools)
    refused = sum(tool.reasons.get("overloaded", 0) for tool in facts.tools)
    if not calls or refused < REFUSED * calls:
        return
    figures: dict[str, float | str] = {
        "refused calls": percent(refused / calls),
        "calls in flight, at most": facts.peak,
    }
    yield from _queue(facts, figures)
    if slower is None or slower.times <= AS_QUICK:
        yield from _pool(facts, figures)


def _queue(facts: PoolFacts, figures: dict[str, float | str]) -> Iterator[Advice]:
    places, queue = facts.number(PLACES), facts.number(QUEUE)
    count = sum(endpoint.available for endpoint in facts.endpoints)
    if places is None or queue is None or not count or queue >= places or facts.peak < places * count:
        return
    usual = facts.usual(facts.in_flight, 0.9)
    if usual < FULL * places * count:
        yield Advice(
            facts.name, "limits.queue", (ProposedChange(QUEUE, int(queue), int(places)),),
            "Bursts of calls are refused, although the endpoints usually have free places.",
            {**figures, "in nine of ten slots": usual, "places": int(places) * count},
            "Calls of a burst wait for a place and get their answers a little later.",
        )  # fmt: skip


def _pool(facts: PoolFacts, figures: dict[str, float | str]) -> Iterator[Advice]:
    most = facts.number(POOL)
    if most is not None and facts.peak >= most:
        yield Advice(
            facts.name, "limits.pool", (ProposedChange(POOL, int(most), 2 * int(most)),),
            "Calls are refused because the pool is full, while the endpoints are as quick as at quiet times.",
            figures, "The endpoints get these calls.",
            "Does the limit protect something else, such as a database behind the servers?",
        )  # fmt: skip


class _Slowdown:
    """Busy slots beside quiet ones: the median times of calls, and the calls in flight at busy times."""

    def __init__(self, quiet: float, busy: float, in_flight: int) -> None:
        self.quiet = quiet
        self.busy = busy
        self.in_flight = in_flight

    @property
    def times(self) -> float:
        """The ratio of the times."""
        return self.busy / self.quiet if self.quiet else 1.0


def _slower_when_busy(facts: PoolFacts) -> _Slowdown | None:
    """The busiest and the quietest quarter of the slots; None if they do not differ, are too few, or show the cache."""
    if sum(tool.hits for tool in facts.tools) > CACHED * sum(tool.calls for tool in facts.tools):
        return None
    loads = facts.peaks or facts.in_flight
    slots = sorted((load, time) for load, time in zip(loads, facts.medians, strict=False) if time is not None)
    quarter = len(slots) // 4
    if len(slots) < ENOUGH_SLOTS:
        return None
    quiet, busy = slots[:quarter], slots[-quarter:]
    in_flight = median(load for load, _ in busy)
    if in_flight < BUSIER * max(1, median(load for load, _ in quiet)):
        return None
    return _Slowdown(median(time for _, time in quiet), median(time for _, time in busy), int(in_flight))
