"""Values of the status page in words and numbers of a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from mcppool.cli.terminal import printable

BARS: Final = "▁▂▃▄▅▆▇█"
MAX_BARS: Final = 20
"""Characters of the line of ten minutes."""

LITTLE: Final = 0.0095
"""Share below which a decimal is shown."""


def sparkline(values: Sequence[float | None]) -> str:
    """The values as a line of bars, several values to a character; a blank where there is none."""
    if not values:
        return ""
    each = -(-len(values) // MAX_BARS)
    groups = [[value for value in values[at : at + each] if value is not None] for at in range(0, len(values), each)]
    means = [sum(group) / len(group) if group else None for group in groups]
    top = max((mean for mean in means if mean is not None), default=0.0) or 1.0
    bars = (" " if mean is None else BARS[min(len(BARS) - 1, int(mean / top * len(BARS)))] for mean in means)
    return "".join(bars)


def time_of_day(at: str) -> str:
    """The time of day of an RFC 3339 moment, with its zone: UTC."""
    return printable(at)[11:19] + " UTC"


def span(covered: float) -> str:
    """The time that the history covers: `34 s`, `10 minutes`."""
    return f"{round(covered)} s" if covered < 90 else f"{round(covered / 60)} minutes"


def lasted(since: str, now: str) -> str:
    """The time between two moments, roughly."""
    seconds = max(0.0, (datetime.fromisoformat(now) - datetime.fromisoformat(since)).total_seconds())
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (129600, 3600, "h")):
        if seconds < limit:
            return f"{round(seconds / size)} {unit}"
    return f"{round(seconds / 86400)} days"


def words(name: str) -> str:
    """A name of the status page as words."""
    return name.replace("_", " ")


def share(part: float, whole: float) -> float | None:
    """The share of a part, None of nothing."""
    return part / whole if whole else None


def percent(share: float | None) -> str:
    """As on the status page: little is not shown as nothing."""
    if share is None:
        return "-"
    return f"{share:.1%}" if 0 < share < LITTLE else f"{share:.0%}"


def duration(seconds: float | None) -> str:
    """A time in seconds or milliseconds."""
    if seconds is None:
        return "-"
    return f"{seconds:.1f} s" if seconds >= 1 else milliseconds(seconds)


def milliseconds(seconds: float | None) -> str:
    """A time in milliseconds, however long it is."""
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"
