"""The writer of an audit log: lines wait in a bounded buffer, and a thread of its own writes them.

A disk that hangs, a reader of standard output that has stopped reading, or a collector that is away must not stop the
event loop. What waits is bounded in bytes. Beyond the bound a line is dropped and counted, and a line in the log itself
tells how many were.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from time import time_ns
from typing import Final

import msgspec

from mcppool.observe.audit_sinks import AuditSink, DescriptorSink, FileSink, SinkUnavailable
from mcppool.observe.logs import get_logger
from mcppool.spec.sections.audit import AuditSpec

RETRY_AFTER: Final = 1.0
"""Seconds after which the thread tries again where writing failed."""
MAX_CONCURRENT: Final = 1 << 20
"""Bytes that are joined for one write."""
FAREWELL: Final = 2.0
"""Seconds that the lines that wait have at the end."""
GATHER: Final = 0.05
"""Seconds in which lines gather for one write: waking the thread for each line takes longer than a call."""
RESERVE: Final = 2
"""With `overflow = "refuse"`, calls that have begun may fill the buffer this many times over."""

Key = tuple[str, str | None]
"""Kind, and file or collector: pools with the same ones share a log."""

log = get_logger("audit")

_encode = msgspec.json.Encoder().encode


class AuditLog:
    """One audit log, which several pools may share. `write` never waits."""

    def __init__(self, spec: AuditSpec) -> None:
        self._sink = _sink(spec)
        self._buffer = spec.buffer
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._closing = False
        self._idle = False  # the thread waits for a first line
        self._thread = threading.Thread(target=self._run, name="audit log", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether the buffer is full: the next line may be dropped."""
        return self._size >= self._buffer

    def configure(self, spec: AuditSpec) -> None:
        """Take over changed bounds."""
        self._buffer = spec.buffer
        self._sink.configure(spec)

    def write(self, line: bytes, *, reserve: bool = False) -> bool:
        """Have a line written, without its newline; False if it is dropped. `reserve`: it is of a call that had been
        admitted before the buffer was full."""
        with self._lock:
            if self._size + len(line) > self._buffer * (RESERVE if reserve else 1):
                self._dropped += 1
                return False
            self._waiting.append(line)
            self._size += len(line) + 1
            if self._idle or self._size > self._buffer // 2:
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
                self._gather()
                if self._closing and not self._waiting and not self._dropped:
                    break
                lines, dropped = self._take()
            try:
                self._sink.write([*lines, *_notice(dropped)])
            except OSError as error:
                if not failing:
                    log.error("audit_log_fails", error=str(error))
                failing = True
                with self._lock:
                    self._waiting.extendleft(reversed(lines))
                    self._dropped += dropped
                    if self._closing:
                        log.error("audit_lines_lost", lines=len(self._waiting))
                        break
                    self._pause(error)
                continue
            if failing:
                log.event("audit_log_works_again")
            failing = False
            with self._lock:
                self._size -= sum(map(len, lines)) + len(lines)
        self._sink.close()

    def _gather(self) -> None:
        """Wait for lines, and for those that follow shortly."""
        self._idle = True
        while not self._waiting and not self._dropped and not self._closing:
            self._wake.wait()
        self._idle = False
        self._wake.wait_for(lambda: self._closing or self._size > self._buffer // 2, GATHER)

    def _pause(self, error: OSError) -> None:
        """Wait before the next try. Lines that come meanwhile do not end the wait."""
        asked = error.retry_after if isinstance(error, SinkUnavailable) else None
        self._wake.wait_for(lambda: self._closing, RETRY_AFTER if asked is None else asked)

    def _take(self) -> tuple[list[bytes], int]:
        """Lines to write next. They count as waiting until they are written."""
        lines: list[bytes] = []
        if self._size <= MAX_CONCURRENT:  # all at once: until then the lock keeps calls waiting
            lines.extend(self._waiting)
            self._waiting.clear()
        size = 0
        while self._waiting and size < MAX_CONCURRENT:
            line = self._waiting.popleft()
            lines.append(line)
            size += len(line)
        dropped, self._dropped = self._dropped, 0
        return lines, dropped


def _notice(dropped: int) -> list[bytes]:
    return [_encode({"time": now().decode(), "event": "lines_dropped", "lines": dropped})] if dropped else []


def _sink(spec: AuditSpec) -> AuditSink:
    if spec.type == "otlp":
        from mcppool.observe.audit_otlp import OtlpSink  # an extra, which other configurations do without

        return OtlpSink(spec)
    return FileSink(spec) if spec.type == "file" else DescriptorSink(1)


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=2)
def at(milliseconds: int) -> bytes:
    """A time as lines of the log write it; `milliseconds` since the epoch. Many calls end in one of them."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03}Z".encode()


def now() -> bytes:
    """The present time as lines of the log write it."""
    return at(time_ns() // 1_000_000)


class AuditLogs:
    """The audit logs of a process, by where they go: pools that name the same file share one."""

    def __init__(self, make: Callable[[AuditSpec], AuditLog] = AuditLog) -> None:
        self._make = make
        self._open: dict[Key, tuple[AuditLog, int]] = {}

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


def _key(spec: AuditSpec) -> Key:
    if spec.otlp is not None:
        return spec.type, spec.otlp.model_dump_json()
    return spec.type, os.path.abspath(spec.file) if spec.type == "file" and spec.file else None


audit_logs: Final = AuditLogs()
"""Those of this process."""
