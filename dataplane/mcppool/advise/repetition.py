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
"""Upper bound on tools of one pool with counts."""

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
    about their results."""

    sampled: int = 0
    repeated: int = 0
    seconds: float = 0.0
    same: int = 0
    different: int = 0
    other_session: int = 0


class RepetitionSketch:
    """The sampled calls of one pool."""

    def __init__(self) -> None:
        self.tools: dict[str, Repetitions] = {}
        self._seen: OrderedDict[int, SeenCall] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def note(self, tool: str, call: int, result: int, session: int, seconds: float, now: float) -> None:
        """Note a finished call: the hashes of its arguments, its result and its session (0 without one), and its time
        in seconds."""
        counts = self.tools.get(tool)
        if counts is None:
            if len(self.tools) >= MAX_TOOLS:
                return
            counts = self.tools[tool] = Repetitions()
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
