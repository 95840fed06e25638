"""Additions of others to the pools' objects, which server-side apply does not remove.

An apply makes our fields what they should be. An entry that another field manager has added to a list (a container, a
port, a variable) stays. To apply again would change nothing, so it is reported instead, until one of the two changes.
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
        """Say whether just this was applied over just that already."""
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
        """Drop a pool that is gone."""
        prefix = f"{pool}-mcp-"
        for place in [place for place in self._known if place[1] == namespace and place[2].startswith(prefix)]:
            del self._known[place]


def _marks(desired: Mapping[str, Any], live: Mapping[str, Any]) -> tuple[str, str]:
    content = {name: value for name, value in live.items() if name not in ("metadata", "status")}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return str(desired["metadata"]["annotations"][APPLIED]), digest
