"""The log: one event, one line, on standard error, as JSON or as text for people.

`log.event("endpoint_ejected", pool="search", endpoint="http://127.0.0.1:8001/mcp")`. A field whose name indicates a
secret is not written, nor is anything that looks like a credential inside a value. A line for each call has level
debug, and its caller checks `log.debug_enabled` first: one `if` when debug is off.

A line about a sampled call has its `trace_id` and `span_id`.

Writing never raises, and waits at most `PATIENCE` for a reader that has stopped reading: lines are then dropped and
counted, and the next written line gives the count.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import select
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any, Final, Literal

from mcppool import supervision
from mcppool.observe.tracing.span import current

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "text"]

PATIENCE: Final = 0.05
"""Seconds that a line waits for room in a full pipe. After a wait in vain, later lines do not wait until one gets
through."""

MAX_FIELD: Final = 2048
"""Upper bound on the characters of a field: clients and servers may send text of any length."""
MAX_TRACEBACK: Final = 32 * 1024
"""The same for the traceback of an exception."""
MAX_ITEMS: Final = 100
"""Items of a list that are written."""

_RANKS: Final[dict[str, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_RESERVED: Final = frozenset({"time", "level", "logger", "event"})
_SECRET_NAME: Final = re.compile(
    r"authorization|cookie|password|secret|token|api_?key|private_?key|sealing_?key|credential|session_id",
    re.IGNORECASE,
)
_SECRET_VALUE: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)|(?<=\bbearer )\S+|(?<=\bbasic )\S+", re.IGNORECASE)
_REDACTED: Final = "[redacted]"


class Logger:
    """Writes events under one name. Get it from `get_logger`, which keeps `debug_enabled` in step with `configure`."""

    __slots__ = ("debug_enabled", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.debug_enabled = False

    def debug(self, event: str, /, **fields: object) -> None:
        """Log an event of level debug."""
        _emit("debug", self.name, event, fields)

    def event(self, event: str, /, **fields: object) -> None:
        """Log an event of level info."""
        _emit("info", self.name, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Log an event of level warning: an operator should look at it, and the gateway goes on."""
        _emit("warning", self.name, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Log an event of level error: something does not work."""
        _emit("error", self.name, event, fields)

    def call(
        self,
        *,
        request_id: str,
        pool: str,
        method: str,
        tool: str | None,
        endpoint: str | None,
        attempts: int,
        retry_class: str,
        status: str,
        duration: float,
    ) -> None:
        """The line of one finished call, level debug; `duration` in seconds. Check `debug_enabled` before."""
        fields = {
            "request_id": request_id,
            "pool": pool,
            "method": method,
            "tool": tool,
            "endpoint": endpoint,
            "attempts": attempts,
            "class": retry_class,
            "status": status,
            "duration_ms": round(duration * 1000, 3),
        }
        _emit("debug", self.name, "call", {key: value for key, value in fields.items() if value is not None})


def get_logger(name: str) -> Logger:
    """The logger of this name; always the same object."""
    logger = _loggers.get(name)
    if logger is None:
        logger = _loggers[name] = Logger(name)
        logger.debug_enabled = _threshold <= _RANKS["debug"]
    return logger


def configure(level: Level = "info", format: Format = "json", descriptor: int = 2) -> None:
    """Set the level, the format and the output (a file descriptor), and take over the records of the standard library's
    `logging`.

    Records of other libraries are written from level info on: their debug lines are about themselves.
    """
    global _threshold, _render, _writer, _configured, _to_program
    _configured, _to_program = True, False
    _threshold = _RANKS[level]
    _render = json_line if format == "json" else text_line
    _writer = _Writer(descriptor)
    for logger in _loggers.values():
        logger.debug_enabled = level == "debug"
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Bridge)]
    root.addHandler(_Bridge())
    root.setLevel(max(_threshold, logging.INFO))


def leave_to_program() -> None:
    """As a library in another program: give every event to the standard library's `logging`, under `mcppool.NAME`, so
    that the program decides about it. No effect after `configure`."""
    global _to_program
    _to_program = not _configured
    library = logging.getLogger("mcppool")
    if _to_program and not library.handlers:
        library.addHandler(logging.NullHandler())  # without any, Python prints warnings
    for logger in _loggers.values():
        if _to_program:
            logger.debug_enabled = logging.getLogger(f"mcppool.{logger.name}").isEnabledFor(logging.DEBUG)


def overhear(listener: Callable[[str, Mapping[str, object]], None] | None) -> None:
    """In a program that uses the library, give each event with its fields to `listener`, too; None ends that."""
    global _listener
    _listener = listener


def handle_loop_exceptions(loop: asyncio.AbstractEventLoop) -> None:
    """Log an exception that no code awaited, which asyncio would print."""

    def handler(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        fields: dict[str, object] = {"message": context.get("message", "")}
        error = context.get("exception")
        if isinstance(error, BaseException):
            fields["exception"] = "".join(traceback.format_exception(error))
        fields.update((key, repr(context[key])) for key in ("task", "future", "handle", "transport") if key in context)
        _emit("error", "asyncio", "unhandled_exception", fields)

    loop.set_exception_handler(handler)


def json_line(time: str, level: str, name: str, event: str, fields: Mapping[str, object]) -> str:
    """One JSON object: time, level, logger, event, then the fields in the order in which they were given."""
    return json.dumps(
        {"time": time, "level": level, "logger": name, "event": event, **fields}, default=str, separators=(",", ":")
    )


def text_line(time: str, level: str, name: str, event: str, fields: Mapping[str, object]) -> str:
    """A line for people: time of day (UTC), level, logger, event, then `key=value`, quoted if ambiguous."""
    shown = "".join(f" {key}={_shown(value)}" for key, value in fields.items())
    return f"{time[11:23]} {level:<7} {name}: {event}{shown}"


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value if value.isprintable() and value and not any(c in value for c in ' "=') else json.dumps(value)
    return json.dumps(value, default=str)


def _emit(level: str, name: str, event: str, fields: Mapping[str, object]) -> None:
    if (span := current.get()) is not None:
        fields = {**fields, **span.ids}
    if _to_program:
        if _listener is not None:
            _listener(event, fields)
        standard = logging.getLogger(f"mcppool.{name}")
        if standard.isEnabledFor(_RANKS[level]):
            shown = "".join(f" {key}={_shown(_redact(key, value))}" for key, value in fields.items())
            standard.log(_RANKS[level], "%s%s", event, shown)
        return
    if _RANKS[level] < _threshold:
        return
    try:
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        safe = {f"{key}_" if key in _RESERVED else key: _redact(key, value) for key, value in fields.items()}
        _writer.write(_render(time, level, name, event, safe))
    except Exception:  # a line that cannot be written must not harm its subject
        _writer.dropped += 1


def _redact(key: str, value: object) -> object:
    if _is_secret(key):
        return _REDACTED
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    if isinstance(value, (list, tuple)):
        return [_redact(key, item) for item in value[:MAX_ITEMS]]
    if isinstance(value, dict):
        return {_text("", str(name)): _redact(str(name), item) for name, item in islice(value.items(), MAX_ITEMS)}
    return _text(key, str(value))


def _text(key: str, text: str) -> str:
    """Text that is safe to write: without credentials, and bounded in length."""
    longest = MAX_TRACEBACK if key == "exception" else MAX_FIELD
    if len(text) <= longest:
        return _SECRET_VALUE.sub(_REDACTED, text)
    # The cut-off part must not include the mark that identifies the credential before it.
    return f"{_SECRET_VALUE.sub(_REDACTED, text[: 2 * longest])[:longest]}… ({len(text)} characters)"


@lru_cache(maxsize=1024)
def _is_secret(key: str) -> bool:
    return _SECRET_NAME.search(key) is not None


class _Writer:
    """Writes lines to a descriptor that other processes may share, so it stays blocking.

    A pipe that polls as writable takes `PIPE_BUF` bytes at once without blocking, so a line goes out in pieces of that
    size.
    """

    _PIECE: Final = select.PIPE_BUF

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._stalled = False
        self._mid_line = False

    def write(self, line: str) -> None:
        """Write one line, or count it as dropped."""
        if self.dropped and self._put(self._notice()):
            self.dropped = 0
        if not self._put(line):
            self.dropped += 1

    def _notice(self) -> str:
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return _render(time, "warning", "mcppool.observe.logs", "lines_dropped", {"lines": self.dropped})

    def _put(self, line: str) -> bool:
        # Ends a truncated line first, so that the next one can be read.
        data = (b"\n" if self._mid_line else b"") + line.encode("utf-8", "backslashreplace") + b"\n"
        rest = memoryview(data)
        while rest:
            if not self._poll.poll(0 if self._stalled else PATIENCE * 1000):
                self._stalled = True
                return False
            written = os.write(self._descriptor, rest[: self._PIECE])
            rest = rest[written:]
            self._mid_line = bool(rest)
        self._stalled = False
        return True


class _Bridge(logging.Handler):
    """Takes records of the standard library's logging."""

    def emit(self, record: logging.LogRecord) -> None:
        level = max(
            (name for name in _RANKS if _RANKS[name] <= record.levelno), key=_RANKS.__getitem__, default="debug"
        )
        try:
            fields: dict[str, object] = {"message": record.getMessage()}
        except Exception:
            fields = {"message": str(record.msg)}
        if record.exc_info and record.exc_info[1]:
            fields["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
        _emit(level, record.name, "log", fields)


_loggers: dict[str, Logger] = {}
_configured = False  # another process of ours, which configures its own log
_to_program = False
_listener: Callable[[str, Mapping[str, object]], None] | None = None
_threshold = _RANKS["info"]
_render = json_line
_writer = _Writer(2)


def _task_failed(kind: str, name: str, error: Exception, wait: float | None) -> None:
    exception = "".join(traceback.format_exception(error))
    again = None if wait is None else round(wait, 3)
    get_logger("task").error("task_failed", kind=kind, task=name, again_in=again, exception=exception)


supervision.report_to(_task_failed)
