"""Metric families as Prometheus' text format 0.0.4, in pieces.

The metrics library's own writer takes several times as long, and all of it at once, with every call waiting. The format
is small, so it is written here, and handed over in pieces.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from prometheus_client.core import Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

PIECE: Final = 256
"""Samples of one piece: about half a millisecond of work."""


def pieces(families: Iterable[Metric]) -> Iterator[str]:
    """The text, in pieces between which other work may be done."""
    for family in families:
        # The family's name is without the suffix that its samples, and this format's head lines, have.
        name = f"{family.name}_total" if family.type == "counter" else family.name
        lines = [f"# HELP {name} {_escape_help(family.documentation)}\n# TYPE {name} {family.type}\n"]
        for sample in family.samples:
            if len(lines) >= PIECE:
                yield "".join(lines)
                lines.clear()
            labels = ",".join([f'{key}="{_escape(value)}"' for key, value in sample.labels.items()])
            series = f"{sample.name}{{{labels}}}" if labels else sample.name
            lines.append(f"{series} {_number(sample.value)}\n")
        yield "".join(lines)


def _number(value: float) -> str:
    if value == math.inf:
        return "+Inf"
    return "-Inf" if value == -math.inf else "NaN" if value != value else repr(float(value))


@lru_cache(maxsize=4096)
def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
