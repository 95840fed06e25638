"""Additions of other managers to the pools' objects, which server-side apply does not remove.

An apply sets the operator's fields. An entry that another field manager has added to a list (a container, a port, a
variable) stays. Another apply would change nothing, so the addition is reported instead, until one of the two changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mcppool_operator.children.ownership import APPLIED, difference
from mcppool_operator.store import Place


class Drifts:
    """The known differences that apply did not remove."""

    def __init__(self) -> None:
        self._known: dict[Place, tuple[str, str]] = {}

    def is_known(self, place: Place, desired: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
        """Return whether exactly this was already applied over exactly that."""
        return self._known.get(place) == _marks(desired, live)

    def note(self, place: Place, desired: Mapping[str, Any], applied: Mapping[str, Any]) -> str | None:
        """Take the result of an apply; return the remaining differences, in words."""
        found = difference(desired, applied)
        if found is None:
            self._known.pop(place, None)
            return None
        self._known[place] = _marks(desired, applied)
        return found

    def forget(self, namespace: str, pool: str) -> None:
        """Forget a deleted pool."""
        prefix = f"{pool}-mcp-"
        for place in [place for place in self._known if place[1] == namespace and place[2].startswith(prefix)]:
            del self._known[place]


def _marks(desired: Mapping[str, Any], live: Mapping[str, Any]) -> tuple[str, str]:
    content = {name: value for name, value in live.items() if name not in ("metadata", "status")}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return str(desired["metadata"]["annotations"][APPLIED]), digest
