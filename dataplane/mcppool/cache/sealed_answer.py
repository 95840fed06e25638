"""Answers as they lie in a store outside this process: sealed under their names.

The gateway trusts nothing that it reads there: an answer that was changed, forged, moved or stored without the key does
not open.

A store cannot find all answers that an invalidation concerns. So each answer is stored with the marks of its tag and of
everything, and an invalidation changes a mark. A mark is random bytes without meaning: somebody who can write marks can
cause answers to be fetched again, and no more.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from mcppool.cache.store import CachedAnswer
from mcppool.wire.vault import OVERHEAD, Vault

MAX_VALUE: Final = 1024 * 1024
"""Upper bound in bytes on a stored answer. A larger one would delay all calls that use the store meanwhile."""

MARK: Final = 8
"""Bytes of a mark."""

MARK_LIFE: Final = 168 * 3600
"""Seconds after which a mark is made anew, so that unused tags leave nothing behind."""

EVERYTHING: Final = ""
"""The tag of all answers."""

SKEW: Final = 60.0
"""Allowed difference in seconds between the clocks of gateways. An answer older than its lifetime plus this does not
open, whatever age the store gives."""

_HEAD: Final = struct.Struct(">BdddII")  # version, second of storing, ttl, stale, begin and end of the hint
_VERSION: Final = 2
_NO_HINT: Final = (0, 0)

Marks = Sequence[bytes | None]
"""The values in the store of the mark of a tag and of the mark of everything: empty if missing, None if the value is no
mark."""


def sealed(kept: CachedAnswer, mark: bytes, vault: Vault, name: bytes, now: float) -> bytes | None:
    """The answer, sealed under its name; None if it is too large for a store. `now` is wall-clock time in seconds."""
    if _HEAD.size + len(mark) + len(kept.result) + OVERHEAD > MAX_VALUE:
        return None
    begin, end = kept.hint or _NO_HINT
    return vault.seal(_HEAD.pack(_VERSION, now, kept.ttl, kept.stale, begin, end) + mark + kept.result, name)


def unsealed(value: bytes, mark: bytes, vault: Vault, name: bytes, now: float) -> CachedAnswer | None:
    """The answer, if a gateway with the key has stored it under this name and it has not been invalidated since."""
    opened = vault.open(value, name)
    if opened is None or len(opened) < _HEAD.size or opened[0] != _VERSION:
        return None
    _, stored, ttl, stale, begin, end = _HEAD.unpack_from(opened)
    begins = _HEAD.size + len(mark)
    if opened[_HEAD.size : begins] != mark or now > stored + ttl + stale + SKEW:
        return None
    hint = (begin, end)
    return CachedAnswer(opened[begins:], ttl, stale, None if hint == _NO_HINT else hint)


def is_mark(mark: bytes | None) -> bool:
    """Whether the value is a mark."""
    return mark is not None and len(mark) == MARK


def joined(marks: Marks) -> bytes | None:
    """Both marks as one, None if one of them is invalid."""
    found = [mark for mark in marks if mark is not None and len(mark) == MARK]
    return b"".join(found) if len(found) == len(marks) else None
