"""Metric families in Prometheus' text format, or that of OpenMetrics with exemplars, in pieces.

`prometheus_client` writes the format, but writes all families at once, while every call waits; so it gets a part of
them at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_TYPE: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
END: Final = b"# EOF\n"
"""The last line of OpenMetrics."""

PIECE: Final = 128
"""Samples of one piece: about half a millisecond of work."""


class _Part(Collector):
    """One family, with some of its samples."""

    def __init__(self, family: Metric, begin: int) -> None:
        self._family = copy(family)
        self._family.samples = family.samples[begin : begin + PIECE]

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


def wants_openmetrics(accept: str) -> bool:
    """Whether a scraper prefers OpenMetrics: it names that type, as Prometheus does if it stores exemplars, before any
    other one of the same weight."""
    weights: list[tuple[float, bool]] = []
    for part in accept.split(","):
        media_type, *parameters = (each.strip().lower() for each in part.split(";"))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            weights.append((float(weight), media_type == "application/openmetrics-text"))
        except ValueError:
            continue
    best = max((weight for weight, _ in weights), default=0.0)
    return best > 0 and next(ours for weight, ours in weights if weight == best)


def pieces(families: Iterable[Metric], *, openmetrics: bool = False) -> Iterator[bytes]:
    """The text, in pieces between which other work may run."""
    for family in families:
        yield _text(family, 0, openmetrics)
        for begin in range(PIECE, len(family.samples), PIECE):
            text = _text(family, begin, openmetrics)
            yield text.split(b"\n", 2)[2]  # without HELP and TYPE, which precede the first part
    if openmetrics:
        yield END


def _text(family: Metric, begin: int, openmetrics: bool) -> bytes:
    if not openmetrics:
        return generate_latest(_Part(family, begin))
    text: bytes = openmetrics_text(_Part(family, begin))  # type: ignore[no-untyped-call]
    return text.removesuffix(END)
