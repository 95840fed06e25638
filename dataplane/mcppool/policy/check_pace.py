"""How long a health check of one endpoint may take, by how long its last ones took.

`health_check.timeout` suits a server that answers in milliseconds. A server whose every answer takes longer works, too:
it must not be out for ever because no check of it ever ends in time.
"""

from __future__ import annotations

MARGIN = 2.0


class CheckPace:
    """The seconds that the last two answered checks took. The quicker of them counts, so that one slow moment, or a
    slow start, makes no later check patient."""

    __slots__ = ("_before", "_last")

    def __init__(self) -> None:
        self._last: float | None = None
        self._before: float | None = None

    def answered(self, seconds: float) -> None:
        """A check was answered after so many seconds, whatever the answer was."""
        self._before, self._last = self._last, seconds

    def believe(self) -> None:
        """Go by the last answer alone: it was waited for on purpose."""
        self._before = self._last

    def forget(self) -> None:
        """The next answer may be another process's."""
        self._last = self._before = None

    def patience(self, timeout: float, longest: float) -> float:
        """How many seconds a check may take: `timeout`, or `MARGIN` times the usual where that is more; at most
        `longest`."""
        if self._last is None:
            return timeout
        usual = self._last if self._before is None else min(self._last, self._before)
        return max(timeout, min(longest, MARGIN * usual))

    def uncertain(self, timeout: float) -> bool:
        """Whether the only answer so far was slow, so that another one has to tell how slow the server is."""
        return self._before is None and self._last is not None and self._last > timeout
