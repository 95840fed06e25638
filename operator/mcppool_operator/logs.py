"""Logs of the operator: one JSON object per line on standard error, or plain text for a person at a terminal."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Literal

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "settings"}


class JsonFormatter(logging.Formatter):
    """Time, level, logger, message, and the fields of `extra=`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON; values without a JSON form are written as their text."""
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= _extra(record)
        if record.exc_info:
            line["exception"] = self._exception(record)
        return json.dumps(line, ensure_ascii=False, default=str)

    def _exception(self, record: logging.LogRecord) -> str:
        """The exception, with its traceback unless it comes from kopf, which logs one for each lost connection."""
        kind, error, _ = record.exc_info or (None, None, None)
        if record.name.startswith("kopf") and kind is not None:
            return f"{kind.__name__}: {error}"
        return self.formatException(record.exc_info) if record.exc_info else ""


class TextFormatter(logging.Formatter):
    """The same as text for a person."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line, with the fields of `extra=` at its end."""
        return " ".join([super().format(record), *(f"{key}={value}" for key, value in _extra(record).items())])


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _PLAIN}


def configure(level: str, style: Literal["json", "text"]) -> None:
    """Send every logger of the process, kopf's too, to standard error in one style."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter() if style == "json" else TextFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # kopf reports each event of each object at this level; our own lines report the results.
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLogger().level))
