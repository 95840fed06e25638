"""The writer of an audit log: lines wait in a bounded buffer, and a thread of its own writes them.

A disk that hangs, or a reader of standard output that has stopped reading, must not stop the event loop. What waits is
bounded in bytes. Beyond the bound a line is dropped and counted, and a line in the log itself tells how many were.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from mcppool.observe.logs import get_logger
from mcppool.spec.sections.audit import AuditSpec

RETRY_AFTER: Final = 1.0
"""Seconds after which the thread tries again where writing failed."""
MOST_AT_ONCE: Final = 1 << 20
"""Bytes that are joined for one write."""
FAREWELL: Final = 2.0
"""Seconds that the lines that wait have at the end."""
RESERVE: Final = 2
"""With `overflow = "refuse"`, calls that have begun may fill the buffer this many times over."""

log = get_logger("audit")

_encode = msgspec.json.Encoder().encode


class AuditLog:
    """One audit log, which several pools may share. `write` never waits."""

    def __init__(self, spec: AuditSpec) -> None:
        self._target: _Target = _File(spec) if spec.type == "file" else _Descriptor(1)
        self._buffer = spec.buffer
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="audit log", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether the buffer is full: the next line may be dropped."""
        return self._size >= self._buffer

    def configure(self, spec: AuditSpec) -> None:
        """Take over changed bounds."""
        self._buffer = spec.buffer
        self._target.configure(spec)

    def write(self, line: bytes, *, reserve: bool = False) -> bool:
        """Have a line written, without its newline; False if it is dropped. `reserve`: it is of a call that had been
        admitted before the buffer was full."""
        with self._lock:
            if self._size + len(line) > self._buffer * (RESERVE if reserve else 1):
                self._dropped += 1
                return False
            self._waiting.append(line)
            self._size += len(line) + 1
            self._wake.notify()
        return True

    def close(self, *, wait: bool = True) -> None:
        """Write what waits, and end. `wait`: return when that is done, or after `FAREWELL` seconds."""
        with self._lock:
            self._closing = True
            self._wake.notify()
        if wait:
            self._thread.join(FAREWELL)

    def _run(self) -> None:
        failing = False
        while True:
            with self._lock:
                while not self._waiting and not self._dropped and not self._closing:
                    self._wake.wait()
                if self._closing and not self._waiting and not self._dropped:
                    break
                lines, dropped = self._take()
            try:
                self._target.write(_lines(lines, dropped))
            except OSError as error:
                if not failing:
                    log.error("audit_log_fails", error=str(error))
                failing = True
                with self._lock:
                    self._waiting.extendleft(reversed(lines))
                    self._dropped += dropped
                    if self._closing:
                        break
                    self._wake.wait(RETRY_AFTER)
                continue
            if failing:
                log.event("audit_log_works_again")
            failing = False
            with self._lock:
                self._size -= sum(len(line) + 1 for line in lines)
        self._target.close()

    def _take(self) -> tuple[list[bytes], int]:
        """Lines to write next. They count as waiting until they are written."""
        lines: list[bytes] = []
        size = 0
        while self._waiting and size < MOST_AT_ONCE:
            line = self._waiting.popleft()
            lines.append(line)
            size += len(line)
        dropped, self._dropped = self._dropped, 0
        return lines, dropped


def _lines(lines: list[bytes], dropped: int) -> bytes:
    notice = [_encode({"time": now(), "event": "lines_dropped", "lines": dropped})] if dropped else []
    return b"".join(b"%b\n" % line for line in (*lines, *notice))


def unwritable(path: str) -> str | None:
    """The reason why a file cannot be appended to or made; None if it can."""
    if os.path.isdir(path):
        return "it is a folder"
    if os.path.exists(path):
        return None if os.access(path, os.W_OK) else "permission denied"
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"permission denied in {folder}"


def now() -> str:
    """The time as lines of the log write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Target:
    """Where lines go. `write` writes all of it or raises OSError; a part that it has written is not written again."""

    def configure(self, spec: AuditSpec) -> None:
        """Take over changed bounds."""

    def write(self, data: bytes) -> None:
        """Write whole lines."""

    def close(self) -> None:
        """Close what was opened here."""


class _Descriptor(_Target):
    """A descriptor of the process, which somebody reads."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        _write_all(self._descriptor, data)


class _File(_Target):
    """A file that is renamed when it is full. One that somebody else has renamed or removed is opened anew."""

    def __init__(self, spec: AuditSpec) -> None:
        self._path = spec.file or ""
        self._descriptor = -1
        self.configure(spec)

    def configure(self, spec: AuditSpec) -> None:
        self._max_size, self._keep = spec.max_size, spec.keep

    def write(self, data: bytes) -> None:
        size = self._open()
        if size and size + len(data) > self._max_size:
            self._rotate()
            size = self._open()
        try:
            _write_all(self._descriptor, data)
        except OSError:
            with contextlib.suppress(OSError):  # no half of a line, and no line twice
                os.ftruncate(self._descriptor, size)
            raise

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        """Open the file, unless it is the one that is open; its size."""
        if self._descriptor >= 0:
            ours = os.fstat(self._descriptor)
            with contextlib.suppress(FileNotFoundError):
                there = os.stat(self._path)
                if (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev):
                    return ours.st_size
            self.close()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
        self._descriptor = os.open(self._path, flags, 0o600)
        return os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        self.close()
        for number in range(self._keep - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
        os.replace(self._path, f"{self._path}.1")


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class AuditLogs:
    """The audit logs of a process, by where they go: pools that name the same file share one."""

    def __init__(self, make: Callable[[AuditSpec], AuditLog] = AuditLog) -> None:
        self._make = make
        self._open: dict[tuple[str, str | None], tuple[AuditLog, int]] = {}

    def take(self, spec: AuditSpec) -> AuditLog:
        """The log that `spec` describes; the taker gives it back."""
        key = _key(spec)
        found = self._open.get(key)
        made, users = found if found is not None else (self._make(spec), 0)
        self._open[key] = made, users + 1
        made.configure(spec)
        return made

    def give_back(self, spec: AuditSpec, *, wait: bool = True) -> None:
        """A taker needs it no more. The last one closes it, and waits for that with `wait`."""
        key = _key(spec)
        taken, users = self._open[key]
        if users > 1:
            self._open[key] = taken, users - 1
            return
        del self._open[key]
        taken.close(wait=wait)


def _key(spec: AuditSpec) -> tuple[str, str | None]:
    return spec.type, os.path.abspath(spec.file) if spec.type == "file" and spec.file else None


audit_logs: Final = AuditLogs()
"""Those of this process."""
