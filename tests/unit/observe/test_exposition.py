"""The metrics' text comes in pieces, and is that of Prometheus' own library."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.registry import Collector

from mcppool.observe.exposition import PIECE, pieces, wants_openmetrics


class Whole(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def families(samples: int) -> list[Metric]:
    counter = CounterMetricFamily("calls_total", 'Calls, by "tool" \\ and\nmore.', labels=["tool"])
    gauge = GaugeMetricFamily("up", "One.", value=1.0)
    histogram = HistogramMetricFamily("seconds", "Time.", labels=["tool"])
    for number in range(samples):
        counter.add_metric([f'a "b" \\ \n {number}'], number)
        histogram.add_metric([f"t{number}"], [("0.1", 1), ("+Inf", 2)], float("inf"))
    return [counter, gauge, histogram]


@pytest.mark.parametrize("samples", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_the_pieces_together_equal_the_librarys_output(samples: int) -> None:
    got = list(pieces(families(samples)))
    assert b"".join(got) == generate_latest(Whole(families(samples)))
    assert max(piece.count(b"\n") for piece in got) <= PIECE + 3, "HELP, whose text is escaped, TYPE and the samples"


@pytest.mark.parametrize("samples", [0, 1, PIECE, 3 * PIECE])
def test_the_pieces_of_openmetrics_equal_the_librarys_output(samples: int) -> None:
    got = b"".join(pieces(families(samples), openmetrics=True))
    assert got == openmetrics_text(Whole(families(samples)))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text; version=1.0.0", True),
        # Prometheus, without and with the storage of exemplars:
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
            "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,*/*;q=0.1",
            True,
        ),
        ("text/plain;q=0.9,application/openmetrics-text;q=0.5", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=much,text/plain", False),
        (",;,=", False),
    ],
)
def test_openmetrics_is_for_scrapers_that_prefer_it(accept: str, wanted: bool) -> None:
    assert wants_openmetrics(accept) is wanted
