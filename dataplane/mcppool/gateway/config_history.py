"""The configurations that were in force, and the refused ones: when, and what each one changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from mcppool.observe.views import ConfigChangeView, SettingView
from mcppool.spec import Snapshot
from mcppool.spec.differences import differences

MAX_CHANGES: Final = 20
"""Upper bound on the remembered configurations."""

MAX_SETTINGS: Final = 50
"""Upper bound on the named settings of one change."""

MAX_TEXT: Final = 200
"""Characters of a value, or of a problem, that are kept."""


class ConfigHistory:
    """The newest changes. Its memory is bounded: at most 1 MB, and mostly far less."""

    def __init__(self) -> None:
        self._changes: deque[ConfigChangeView] = deque(maxlen=MAX_CHANGES)
        self._last: Snapshot | None = None

    def applied(self, snapshot: Snapshot) -> None:
        """A configuration is put into force."""
        former, self._last = self._last, snapshot
        if former is not None and former.hash == snapshot.hash:
            return
        found = differences(former, snapshot) if former is not None else []
        settings = tuple(SettingView(line.path, _text(line.before), _text(line.after)) for line in found[:MAX_SETTINGS])
        self._changes.append(
            ConfigChangeView(
                datetime.now(UTC), snapshot.hash, snapshot.generation, settings, len(found) - len(settings)
            )
        )

    def refused(self, problems: Sequence[str], hash: str | None) -> None:
        """A configuration is refused. The same one again only renews the time."""
        shown = tuple(problem[:MAX_TEXT] for problem in problems[:MAX_SETTINGS])
        if self._changes and self._changes[-1].problems == shown:
            self._changes.pop()
        self._changes.append(ConfigChangeView(datetime.now(UTC), hash, None, problems=shown))

    def newest_first(self) -> tuple[ConfigChangeView, ...]:
        """The changes, the newest first."""
        return tuple(reversed(self._changes))


def _text(value: object) -> str | None:
    """A value as people write it; None for a setting that is not set."""
    if value is None:
        return None
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
