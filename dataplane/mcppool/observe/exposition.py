"""Metric families in Prometheus' text format, in pieces.

`prometheus_client` writes the format, but writes all families at once, while every call waits; so it gets a part of
them at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

PIECE: Final = 128
"""Samples of one piece: about half a millisecond of work."""


class _Part(Collector):
    """One family, with some of its samples."""

    def __init__(self, family: Metric, begin: int) -> None:
        self._family = copy(family)
        self._family.samples = family.samples[begin : begin + PIECE]

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


def pieces(families: Iterable[Metric]) -> Iterator[bytes]:
    """The text, in pieces between which other work may run."""
    for family in families:
        yield generate_latest(_Part(family, 0))
        for begin in range(PIECE, len(family.samples), PIECE):
            text = generate_latest(_Part(family, begin))
            yield text.split(b"\n", 2)[2]  # without HELP and TYPE, which precede the first part
