"""Distinguishes a hanging endpoint from a busy one.

Some servers run their tools on the loop that also answers everything else: while a tool works they accept connections
and stay silent, and then they go on. From outside, a stopped process looks the same. Two facts tell them apart:

* The endpoint's past: an endpoint is busy for up to `MARGIN` times the longest silence that it came back from.
* The calls at the endpoint: a tool without an answer so far, or one that mostly takes longer than `QUICK`, may keep it
  busy for up to `outlier_detection.hung_after`. A tool that answers in milliseconds is no reason for a silence.

A silence that neither explains is a hang as soon as a check goes unanswered.
"""

from __future__ import annotations

from collections import deque

MARGIN = 1.5
QUICK = 1.0  # seconds
REMEMBERED = 8  # silences
FORGOTTEN_AFTER = 3600.0  # seconds
MAX_SILENCE = 120.0  # seconds: a longer silence was no tool at work


class Silences:
    """The silences of one endpoint. `since` is the beginning of the present one, None while it answers."""

    __slots__ = ("_past", "since")

    def __init__(self) -> None:
        self.since: float | None = None
        self._past: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)  # duration and end of each

    def begin(self, at: float) -> None:
        """It is silent since `at`."""
        if self.since is None:
            self.since = at

    def end(self, now: float) -> float:
        """It has answered: returns the seconds of its silence, and remembers them."""
        lasted = 0.0 if self.since is None else now - self.since
        self.since = None
        if 0.0 < lasted <= MAX_SILENCE:
            self._past.append((lasted, now))
        return lasted

    def forget(self) -> None:
        """Forget the past of an endpoint whose process is replaced."""
        self.since = None
        self._past.clear()

    def begin_anew(self, now: float) -> None:
        """A new process runs there since `now`; it is silent from then on if the one before was."""
        self._past.clear()
        if self.since is not None:
            self.since = now

    def longest(self, now: float) -> float:
        """The longest silence of the last hour that it came back from, in seconds; 0 if there was none."""
        return max((lasted for lasted, at in self._past if now - at < FORGOTTEN_AFTER), default=0.0)

    def tolerated(self, explained: float, now: float) -> float:
        """Upper bound in seconds on a silence before it is a hang; `explained` is the seconds that the endpoint's calls
        may need."""
        return max(explained, MARGIN * self.longest(now))

    def too_long(self, explained: float, now: float) -> bool:
        """Whether the present silence is a hang."""
        return self.since is not None and now - self.since > self.tolerated(explained, now)


def may_work_long(answers: int, quick: int) -> bool:
    """Whether a tool may keep a server busy, judged by the number of its `answers` within `QUICK` seconds."""
    return 2 * quick <= answers
