"""Since when each component has its present status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from mcppool.observe.views import ComponentHealth, Status


class StatusTimes:
    """Remembers for each component its status and the time at which it was seen first."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[Status, datetime]] = {}

    def look(self, components: Mapping[str, ComponentHealth], at: datetime) -> dict[str, ComponentHealth]:
        """The components, each with the time since when it has its status."""
        before, self._since = self._since, {}
        found = {}
        for name, component in components.items():
            known = before.get(name)
            since = known if known is not None and known[0] == component.status else (component.status, at)
            self._since[name] = since
            found[name] = replace(component, since=since[1])
        return found
