"""Invalidated tags that a store outside this process has not got yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mcppool.cache.sealed_answer import EVERYTHING

MAX_OWED: Final = 1024
MAX_OWED_BYTES: Final = 256 * 1024
"""Upper bound in bytes on such tags. Above it, the whole cache is invalidated."""


class OwedTags:
    """A bounded set of tags; too many of them become the tag of everything."""

    def __init__(self) -> None:
        self._tags: set[str] = set()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._tags)

    def add(self, tags: Iterable[str]) -> None:
        """These must be invalidated."""
        for tag in tags:
            if tag not in self._tags and EVERYTHING not in self._tags:
                self._tags.add(tag)
                self._bytes += len(tag)
        if len(self._tags) > MAX_OWED or self._bytes > MAX_OWED_BYTES:
            self._tags, self._bytes = {EVERYTHING}, 0

    def now(self) -> tuple[str, ...]:
        """The tags to invalidate."""
        return tuple(self._tags)

    def paid(self, tags: Iterable[str]) -> None:
        """The store has got these."""
        self._tags.difference_update(tags)
        self._bytes = sum(map(len, self._tags))
