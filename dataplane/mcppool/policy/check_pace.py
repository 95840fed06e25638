"""The time limit of an endpoint's health check, by the duration of its last checks.

`health_check.timeout` suits a server that answers in milliseconds. A server that always takes longer works, too: it
must not stay unavailable because its checks never end in time.
"""

from __future__ import annotations

MARGIN = 2.0


class CheckPace:
    """The durations of the last two answered checks, in seconds. The shorter one counts, so that one slow check, or a
    slow start, does not make later checks patient."""

    __slots__ = ("_before", "_last")

    def __init__(self) -> None:
        self._last: float | None = None
        self._before: float | None = None

    def answered(self, seconds: float) -> None:
        """A check was answered after so many seconds, whatever the answer."""
        self._before, self._last = self._last, seconds

    def believe(self) -> None:
        """Use only the last answer: the prober waited for it on purpose."""
        self._before = self._last

    def forget(self) -> None:
        """The next answer may come from another process."""
        self._last = self._before = None

    def patience(self, timeout: float, longest: float) -> float:
        """Seconds that a check may take: `timeout`, or `MARGIN` times the usual duration if that is more; at most
        `longest`."""
        if self._last is None:
            return timeout
        usual = self._last if self._before is None else min(self._last, self._before)
        return max(timeout, min(longest, MARGIN * usual))

    def uncertain(self, timeout: float) -> bool:
        """Whether the only answer so far was slow, so that another one has to show how slow the server is."""
        return self._before is None and self._last is not None and self._last > timeout
