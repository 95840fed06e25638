"""Metadata documents that the server of an endpoint names in its challenges (RFC 9728 §5.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import SplitResult, urlsplit

from mcppool.wire.challenge import resource_metadata

MAX_ORIGINS: Final = 8
"""Upper bound on the documents of one endpoint. A new one replaces the one that was named longest ago."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

Origin = tuple[str, str, int | None]
"""Scheme, host and port of a URL."""


def origin_of(url: str) -> Origin | None:
    """The origin of an http or https URL; None for any other text."""
    try:
        return _origin(urlsplit(url))
    except ValueError:
        return None


class NamedMetadata:
    """The paths of these documents, each with its origin."""

    __slots__ = ("_last", "_origins")

    def __init__(self) -> None:
        self._last = b""
        self._origins: dict[str, Origin] = {}

    def learn(self, challenges: Iterable[bytes]) -> None:
        """Note the URLs in values of `WWW-Authenticate`. URLs with a query or a fragment are ignored."""
        for value in challenges:
            if value == self._last:
                continue
            self._last = value
            url = resource_metadata(value)
            if url is not None:
                self._note(url)

    def at(self, path: str) -> Origin | None:
        """The origin of the document at `path`; None if the server has named no such document."""
        return self._origins.get(path)

    def paths(self, origins: frozenset[Origin]) -> list[str]:
        """The paths of all documents at one of `origins`, the latest first."""
        return [path for path, origin in reversed(self._origins.items()) if origin in origins]

    def _note(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            origin = _origin(parts)
        except ValueError:
            return
        if origin is None or parts.query or parts.fragment or not parts.path.startswith("/"):
            return
        if not all("!" <= character <= "~" for character in parts.path):
            return
        self._origins.pop(parts.path, None)
        self._origins[parts.path] = origin
        if len(self._origins) > MAX_ORIGINS:
            del self._origins[next(iter(self._origins))]


def _origin(parts: SplitResult) -> Origin | None:
    default = _DEFAULT_PORTS.get(parts.scheme)
    if default is None or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, parts.port or default
