"""Pins of tool definitions: the expected definition of each tool, and the tools that differ from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

MAX_PINS: Final = 10_000
"""Upper bound on the tools that are pinned when first seen. Any further tool differs from its expected definition."""


class Change(NamedTuple):
    """A tool whose definition differs from its pin. `expected` is empty if the tool has none. `endpoint` is one with
    the other definition."""

    expected: str
    seen: str
    endpoint: str


class ToolPins:
    """The expected digest of each tool: from a lock file, or the first one seen."""

    def __init__(self, locked: Mapping[str, str] | None = None) -> None:
        self._locked = locked is not None
        self._pins = dict(locked or {})

    def fits(self, name: str, digest: str) -> bool:
        """Whether this is the expected definition. Without a lock file, the first one seen becomes the expected one."""
        expected = self._pins.get(name)
        if expected is None and not self._locked and len(self._pins) < MAX_PINS:
            self._pins[name] = digest
            return True
        return expected == digest

    def changes(self, offers: Iterable[tuple[str, Mapping[str, str]]]) -> dict[str, Change]:
        """The tools with another definition at one of the endpoints. `offers` has the digests by tool for each
        endpoint's name."""
        found: dict[str, Change] = {}
        for endpoint, digests in offers:
            for name, digest in digests.items():
                if not self.fits(name, digest) and name not in found:
                    found[name] = Change(self._pins.get(name, ""), digest, endpoint)
        return found
