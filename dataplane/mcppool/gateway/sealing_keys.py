"""The keys that seal session ids: from a file that gateways share, or made at start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from mcppool.observe.logs import get_logger
from mcppool.pipeline.sessions.key_file import parse_key_file, read_key_file
from mcppool.spec import ConfigError
from mcppool.wire.sealing import KeyRing, generate_key_line

INTERVAL = 2.0  # seconds between two looks at the file; a mounted Secret takes a minute to change anyway

log = get_logger("session")


class SealingKeys:
    """The ring in force. To rotate keys, add one to the file, and put it first once every gateway has it."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._text = ""
        self._ring: KeyRing | None = None

    def ring(self, path: str | None) -> KeyRing:
        """The ring of a key file; without one, a ring made at start, whose sessions end with this process.

        Raises ConfigError if the file cannot be read.
        """
        if self._ring is None:
            self._path = path
            self._text = read_key_file(path) if path is not None else generate_key_line(time.time())
            self._ring = parse_key_file(self._text, path)
        return self._ring

    async def watch(self, renew: Callable[[KeyRing], None]) -> None:
        """Report each change of the file, until cancelled. A file that cannot be read changes nothing, and is
        reported."""
        refused = ""
        while self._path is not None:
            await asyncio.sleep(INTERVAL)
            try:
                text = read_key_file(self._path)
                if text in (self._text, refused):
                    continue
                ring = parse_key_file(text, self._path)
            except ConfigError as error:
                if str(error) != refused:
                    refused = str(error)
                    log.error("sealing_keys_refused", problem=refused)
                continue
            self._text, self._ring, refused = text, ring, ""
            renew(ring)
            log.event("sealing_keys_changed", keys=len(ring.keys))


def read_ring(path: str) -> KeyRing:
    """The ring of a key file. Raises ConfigError if the file cannot be read or holds no keys."""
    return parse_key_file(read_key_file(path), path)
