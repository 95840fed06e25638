"""Repetition of calls, in a sketch of fixed size that samples feed.

It remembers the newest `MAX_KEYS` different calls, by hashes alone. A repetition of a call that was not sampled, or is
forgotten, is not noticed: the counts are lower bounds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, NamedTuple

MAX_KEYS: Final = 1024
"""Upper bound on remembered calls of one pool: about 250 bytes each."""

MAX_TOOLS: Final = 200
"""Upper bound on tools of one pool with counts in each generation."""

GENERATION: Final = 3600.0
"""Seconds after which a new generation of counts begins. Two are kept, so that a result counts for one to two hours:
long enough for rare tools, and a single different result does not decide for ever."""

WINDOW: Final = 600.0
"""Seconds after which a call is no repetition of an earlier one: no cache would keep its answer so long."""


class SeenCall(NamedTuple):
    """The newest call with some arguments."""

    at: float
    result: int
    session: int


@dataclass(slots=True)
class Repetitions:
    """The counts of one tool. `seconds` is the time of its repeated calls; `same`, `different` and `other_session` are
    about their results. `in_session` counts the repeated calls in a session of the server."""

    sampled: int = 0
    repeated: int = 0
    seconds: float = 0.0
    same: int = 0
    different: int = 0
    other_session: int = 0
    in_session: int = 0


class RepetitionSketch:
    """The sampled calls of one pool."""

    def __init__(self) -> None:
        self._counts: dict[str, Repetitions] = {}
        self._former: dict[str, Repetitions] = {}
        self._began: float | None = None  # this generation
        self._seen: OrderedDict[int, SeenCall] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def counts(self, now: float) -> dict[str, Repetitions]:
        """The counts of each tool in the last hour or two."""
        self._age(now)
        return {name: _sum(self._former.get(name), self._counts.get(name)) for name in {**self._former, **self._counts}}

    def note(self, tool: str, call: int, result: int, session: int, seconds: float, now: float) -> None:
        """Note a finished call: the hashes of its arguments, its result and its session (0 without one), and its time
        in seconds."""
        self._age(now)
        counts = self._counts.get(tool)
        if counts is None:
            if len(self._counts) >= MAX_TOOLS:
                return
            counts = self._counts[tool] = Repetitions()
        counts.sampled += 1
        before = self._seen.pop(call, None)
        self._seen[call] = SeenCall(now, result, session)
        if len(self._seen) > MAX_KEYS:
            self._seen.popitem(last=False)
        if before is None or now - before.at > WINDOW:
            return
        counts.repeated += 1
        counts.seconds += seconds
        if before.result == result:
            counts.same += 1
        else:
            counts.different += 1
        if before.session != session:
            counts.other_session += 1
        if session:
            counts.in_session += 1

    def _age(self, now: float) -> None:
        if self._began is None:
            self._began = now
        passed = now - self._began
        if passed >= GENERATION:
            self._former = self._counts if passed < 2 * GENERATION else {}
            self._counts = {}
            self._began = now


def _sum(*parts: Repetitions | None) -> Repetitions:
    found = Repetitions()
    for part in parts:
        if part is not None:
            for name in Repetitions.__slots__:
                setattr(found, name, getattr(found, name) + getattr(part, name))
    return found
