"""The keys that seal session ids: from files that gateways share, or made at start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from mcppool.observe.logs import get_logger
from mcppool.pipeline.sessions.key_file import parse_key_file, read_key_file
from mcppool.small_file import file_version
from mcppool.spec import ConfigError
from mcppool.wire.sealing import Key, KeyRing, generate_key_line

INTERVAL = 2.0  # seconds between two looks at the files; a mounted Secret takes a minute to change anyway

ACCEPTED = "listener.accepted_keys"

log = get_logger("session")

Keys = tuple[Key, ...]
_Read = tuple[str, Keys]
"""The text of a file, and its keys."""


class SealingKeys:
    """The ring in force. The first key of the first file seals; all keys of all files open."""

    def __init__(self, keys: str | None = None) -> None:
        """`keys` is the text of a key file, which several processes share where there is no file."""
        self._given = keys
        self._path: str | None = None
        self._accepted: tuple[str, ...] = ()
        self._read: dict[str | None, _Read] = {}
        """The content of each file, as last read; None stands for the key made at start."""
        self._ring: KeyRing | None = None

    @property
    def in_force(self) -> KeyRing | None:
        """The ring of the last configuration, with the changes of its files since."""
        return self._ring

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the keys in force; the first one seals."""
        return tuple(key.id for key in self._ring.keys) if self._ring is not None else ()

    def ring(self, path: str | None, accepted: Sequence[str] = ()) -> KeyRing:
        """The ring of a key file, and of files with further keys; without a file, a ring made at start, whose sessions
        end with the gateway.

        An accepted file need not exist. Equal files give the same object. Raises ConfigError if the first file cannot
        be read, or another one holds no keys.
        """
        found: dict[str | None, _Read] = {path: self._read.get(path) or self._first(path)}
        for other in accepted:
            if other not in found and (known := self._read.get(other) or _if_there(other)) is not None:
                found[other] = known
        self._path, self._accepted = path, tuple(accepted)
        return self._use(found)

    async def watch(self, renew: Callable[[KeyRing], None]) -> None:
        """Report each change of the files, until cancelled. A file that cannot be read changes nothing, and is
        reported; keys stay in force while the configuration names their file."""
        refused: dict[str, str] = {}
        while True:
            await asyncio.sleep(INTERVAL)
            if self._path is None:
                continue
            before, found = self._ring, dict(self._read)
            for path in (self._path, *self._accepted):
                try:
                    fresh = _again(path, self._read.get(path))
                except ConfigError as error:
                    if refused.get(path) != str(error):
                        refused[path] = str(error)
                        log.error("sealing_keys_refused", problem=str(error))
                    continue
                refused.pop(path, None)
                if fresh is not None:
                    found[path] = fresh
            ring = self._use(found)
            if ring is not before:
                renew(ring)
                log.event("sealing_keys_changed", keys=len(ring.keys))

    def _first(self, path: str | None) -> _Read:
        made = self._given or generate_key_line(time.time()) if path is None else None
        text = made if made is not None else read_key_file(path or "")
        return text, parse_key_file(text, path).keys

    def _use(self, found: dict[str | None, _Read]) -> KeyRing:
        by_id: dict[str, Key] = {}
        for path in (self._path, *self._accepted):
            for key in found[path][1] if path in found else ():
                by_id.setdefault(key.id, key)
        keys = tuple(by_id.values())
        self._read = found
        if self._ring is None or self._ring.keys != keys:
            self._ring = KeyRing(keys)
        return self._ring


def read_keys(path: str, key: str) -> Keys:
    """The keys of a file that the configuration names in `key`. Raises ConfigError if it cannot be read or holds no
    keys."""
    return parse_key_file(read_key_file(path, key), path, key).keys


def _if_there(path: str) -> _Read | None:
    if file_version(path) is None:
        return None
    text = read_key_file(path, ACCEPTED)
    return text, parse_key_file(text, path, ACCEPTED).keys


def _again(path: str, known: _Read | None) -> _Read | None:
    """The content of a file that may have changed; None if it was never there and still is not."""
    if known is None:
        return _if_there(path)
    text = read_key_file(path)
    return known if text == known[0] else (text, parse_key_file(text, path).keys)
