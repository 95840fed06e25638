from __future__ import annotations

import json
import logging
import sys

from mcppool_operator.logs import JsonFormatter, TextFormatter


def record(**extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "x", "levelno": logging.INFO, "levelname": "INFO", "msg": "took %d", "args": (3,)}
    )
    vars(made).update(extra)
    return made


def test_a_line_is_one_json_object_with_the_extra_fields() -> None:
    line = json.loads(JsonFormatter().format(record(pool="default/search", odd=object())))
    assert line["message"] == "took 3"
    assert line["level"] == "info"
    assert line["pool"] == "default/search"
    assert "\n" not in JsonFormatter().format(record(detail="two\nlines"))


def test_a_person_sees_it_too() -> None:
    assert TextFormatter("%(message)s").format(record(pool="default/search")) == "took 3 pool=default/search"


def test_exceptions_of_kopf_are_one_line_and_our_own_have_a_traceback() -> None:
    def said(name: str) -> str:
        try:
            raise ConnectionError("gone")
        except ConnectionError:
            record = logging.LogRecord(name, logging.ERROR, "x.py", 1, "lost", None, sys.exc_info())
        return str(json.loads(JsonFormatter().format(record))["exception"])

    assert said("kopf.objects") == "ConnectionError: gone"
    assert said("mcppool_operator.main").startswith("Traceback")
