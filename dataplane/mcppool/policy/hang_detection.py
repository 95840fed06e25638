"""When the silence of an endpoint is a hang, and when it is only busy.

Some servers run their tools on the loop that also answers everything else: while a tool works they accept connections
and answer nothing, and then they go on. From outside, a stopped process looks the same. Two things tell them apart:

* The endpoint's past: a silence of up to `MARGIN` times the longest one that it came back from is busy.
* The calls that it holds: a tool that has never been answered, or that mostly takes longer than `QUICK`, may be what
  keeps it busy, for up to `outlier_detection.hung_after`. A tool that answers in milliseconds is no reason to stand
  still.

A silence that neither explains is a hang as soon as a check goes unanswered.
"""

from __future__ import annotations

from collections import deque

MARGIN = 1.5
QUICK = 1.0  # seconds
REMEMBERED = 8  # silences
FORGOTTEN_AFTER = 3600.0  # seconds
LONGEST = 120.0  # seconds: what stood still for longer was no tool at work


class Silences:
    """The silences of one endpoint. `since` is when the present one began, None while it answers."""

    __slots__ = ("_past", "since")

    def __init__(self) -> None:
        self.since: float | None = None
        self._past: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)  # how long, and when it ended

    def begin(self, at: float) -> None:
        """It has answered nothing since `at`."""
        if self.since is None:
            self.since = at

    def end(self, now: float) -> float:
        """It has answered: returns how long it was silent, in seconds, and remembers that."""
        lasted = 0.0 if self.since is None else now - self.since
        self.since = None
        if 0.0 < lasted <= LONGEST:
            self._past.append((lasted, now))
        return lasted

    def forget(self) -> None:
        """Forget the past of an endpoint whose process is replaced."""
        self.since = None
        self._past.clear()

    def begin_anew(self, now: float) -> None:
        """Another process is there since `now`, and has not answered yet if the one before it was silent."""
        self._past.clear()
        if self.since is not None:
            self.since = now

    def longest(self, now: float) -> float:
        """The longest silence of the last hour that it came back from, in seconds; 0 if there was none."""
        return max((lasted for lasted, at in self._past if now - at < FORGOTTEN_AFTER), default=0.0)

    def tolerated(self, explained: float, now: float) -> float:
        """How long a silence may last, in seconds, before it is a hang; `explained` is how many of them the calls that
        the endpoint holds may need."""
        return max(explained, MARGIN * self.longest(now))

    def too_long(self, explained: float, now: float) -> bool:
        """Whether the present silence is a hang."""
        return self.since is not None and now - self.since > self.tolerated(explained, now)


def may_work_long(answers: int, quick: int) -> bool:
    """Whether a tool may keep a server busy, by how many of its `answers` came within `QUICK` seconds."""
    return 2 * quick <= answers
