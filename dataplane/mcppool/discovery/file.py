"""A configuration file, watched by polling.

A poll costs a `stat` every 200 ms and sees changes that notifications miss: network file systems, editors that replace
the file, and the symbolic links by which Kubernetes swaps a mounted ConfigMap.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcppool.discovery.source import Publish, Refuse
from mcppool.small_file import read_small_file
from mcppool.spec import ConfigError, Problem, Snapshot, loads_toml, read_snapshot
from mcppool.spec.references import files_in
from mcppool.spec.toml import MAX_BYTES, too_large

Identity = tuple[int, int, int, int]


class FileSource:
    """Reads TOML, or a snapshot where the name ends in `.json`.

    It publishes a snapshot that differs from the one in force, and one that ends a refusal. It refuses a file that is
    missing, unreadable or invalid once, and reads it again when it changes, or a file that it refers to
    (`${file:PATH}`). `flags` are sections of the process that the command line gives; they win over a TOML file.
    `variables` names the environment variables of flags that the environment gives, by place. `interval` is in seconds.
    """

    def __init__(
        self,
        path: Path,
        interval: float = 0.2,
        flags: Mapping[str, Any] | None = None,
        variables: Mapping[tuple[str, ...], str] | None = None,
    ) -> None:
        self._path = path
        self._interval = interval
        self._flags = flags
        self._variables = variables
        self._wake = asyncio.Event()
        self._referenced: tuple[Path, ...] = ()
        self._in_force: str | None = None
        self._text: str | None = None
        self._refusal: str | None = None

    async def watch(self, publish: Publish, refuse: Refuse) -> None:
        """Run until cancelled."""
        seen: tuple[Identity | None, ...] | None = None
        settled = False
        while True:
            # The identity is taken before reading, so that the next look sees a change during the read. And after a
            # change the file is read twice, because two writes in one tick of the file system's clock can look like
            # one.
            identity = tuple(map(identity_of, (self._path, *self._referenced)))
            changed = identity != seen
            if changed or not settled:
                self._look(publish, refuse)
            seen, settled = identity, not changed
            try:
                async with asyncio.timeout(self._interval):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()
            seen = self._in_force = self._text = self._refusal = None

    def reload(self) -> None:
        """Read the file again now, and publish or refuse it even if it has not changed."""
        self._wake.set()

    def _look(self, publish: Publish, refuse: Refuse) -> None:
        try:
            text = read_text(self._path)
            if text == self._text and not self._referenced:
                return
            self._referenced = () if self._path.suffix == ".json" else tuple(map(Path, files_in(text)))
            snapshot = parse(text, self._path, self._flags, self._variables)
            self._text = text
        except ConfigError as error:
            self._text = None
            if str(error) != self._refusal:
                self._refusal = str(error)
                refuse(error)
            return
        if snapshot.hash != self._in_force or self._refusal is not None:
            self._in_force, self._refusal = snapshot.hash, None
            publish(snapshot)


def read_text(path: Path) -> str:
    """The text of a configuration file; raises ConfigError if it cannot be read or is not UTF-8.

    A pipe is refused: the file is read again for each process and after each change."""
    try:
        raw = read_small_file(str(path), MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise unreadable(str(path), too_large())
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise unreadable(str(path), f"is not UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise unreadable(str(path), f"cannot be read: {error.strerror}") from error


def parse(
    text: str,
    path: Path,
    flags: Mapping[str, Any] | None = None,
    variables: Mapping[tuple[str, ...], str] | None = None,
) -> Snapshot:
    """The snapshot in a file's text; raises ConfigError with every mistake."""
    if path.suffix == ".json":
        return read_snapshot(text, source=str(path))
    return loads_toml(text, source=str(path), flags=flags, variables=variables)


def unreadable(source: str, message: str) -> ConfigError:
    """The error of a source without a text."""
    return ConfigError((Problem(path="", message=message, value=None, allowed=None, line=None, source=source),))


def identity_of(path: Path) -> Identity | None:
    """A mark that changes when a file changes, without reading it; None if the file does not exist."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev
