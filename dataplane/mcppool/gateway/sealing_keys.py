"""The keys that seal session ids: from files that gateways share, or made at start."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from mcppool.observe.logs import get_logger
from mcppool.pipeline.sessions.key_file import SEALING, parse_key_file, read_key_file
from mcppool.small_file import file_version
from mcppool.spec import ConfigError
from mcppool.watched_file import FileValue, keep_looking
from mcppool.wire.sealing import Key, KeyRing, generate_key_line

ACCEPTED = "listener.accepted_keys"

log = get_logger("session")

Keys = tuple[Key, ...]


class SealingKeys:
    """The ring in force. The first key of the first file seals; all keys of all files open."""

    def __init__(self, keys: str | None = None) -> None:
        """`keys` is the text of a key file, which several processes share where there is no file."""
        self._given = keys
        self._made: Keys = ()
        self._files: dict[str, _KeyFile] = {}
        """The files that the configuration names, the one that seals first."""
        self._seals_with_file = False
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
        if path is None and not self._made:
            self._made = parse_key_file(self._given or generate_key_line(time.time()), None).keys
        files: dict[str, _KeyFile] = {}
        if path is not None:
            known = self._files.get(path)
            files[path] = known if known is not None and known.value else _KeyFile(path, SEALING)
        for other in accepted:
            if other not in files:
                files[other] = self._files.get(other) or _KeyFile(other, ACCEPTED)
        self._files, self._seals_with_file = files, path is not None
        return self._renewed()

    async def watch(self, renew: Callable[[KeyRing], None]) -> None:
        """Report each change of the files, until cancelled. A file that cannot be read changes nothing, and is
        reported; keys stay in force while the configuration names their file."""

        def look() -> None:
            # Without a file that seals, nobody else knows the key: there is nothing to share.
            if not self._seals_with_file:
                return
            changes = [file.look() for file in self._files.values()]  # all of them: each reports its faults
            if not any(changes):
                return
            before = self._ring
            ring = self._renewed()
            if ring is not before:
                renew(ring)
                log.event("sealing_keys_changed", keys=len(ring.keys))

        await keep_looking(look)

    def _renewed(self) -> KeyRing:
        by_id: dict[str, Key] = {}
        for keys in (() if self._seals_with_file else self._made, *(file.value for file in self._files.values())):
            for key in keys:
                by_id.setdefault(key.id, key)
        found = tuple(by_id.values())
        if self._ring is None or self._ring.keys != found:
            self._ring = KeyRing(found)
        return self._ring


class _KeyFile(FileValue[str | None, Keys]):
    """A file that the configuration names in `key`. An accepted one may come later; once there, it must stay. Raises
    ConfigError."""

    def __init__(self, path: str, key: str) -> None:
        self._key = key
        self._was_there = key == SEALING
        super().__init__(path, self._text, self._keys, _refused, (ConfigError,))

    def _text(self, path: str) -> str | None:
        if not self._was_there and file_version(path) is None:
            return None
        text = read_key_file(path, self._key)
        self._was_there = True
        return text

    def _keys(self, text: str | None) -> Keys:
        return () if text is None else parse_key_file(text, self.path, self._key).keys


def _refused(problem: str) -> None:
    log.error("sealing_keys_refused", problem=problem)


def read_keys(path: str, key: str) -> Keys:
    """The keys of a file that the configuration names in `key`. Raises ConfigError if it cannot be read or holds no
    keys."""
    return parse_key_file(read_key_file(path, key), path, key).keys
