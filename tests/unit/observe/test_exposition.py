"""The metrics' text comes in pieces, and is that of Prometheus' own library."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from mcppool.observe.exposition import PIECE, pieces


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
