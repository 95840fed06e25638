"""Histograms that count in batches equal those that count at once."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from mcppool.observe.histogram import Histogram
from mcppool.observe.tracing.durations import BATCH, BOUNDS, BatchedHistogram, Durations, SessionKey

SECONDS = st.sampled_from(BOUNDS) | st.floats(min_value=0.0, max_value=1000.0)


@given(st.lists(st.lists(SECONDS, max_size=3 * BATCH), max_size=4))
def test_values_counted_in_batches_are_in_the_same_buckets(parts: list[list[float]]) -> None:
    plain, batched = Histogram(BOUNDS), BatchedHistogram(BOUNDS)
    for part in parts:
        for value in part:
            plain.observe(value)
            batched.observe(value)
            assert len(batched.waiting) < BATCH
        batched.count_waiting()
        assert batched.counts == plain.counts
        assert abs(batched.total - plain.total) <= 1e-9 * plain.total


def test_whoever_reads_the_series_sees_every_value() -> None:
    durations, key = Durations(), SessionKey("2025-11-25")
    durations.of(key).observe(0.3)
    ((found, histogram),) = durations.items()
    assert (found, histogram.count, histogram.total) == (key, 1, 0.3)


def test_no_value_is_lost_or_counted_twice_while_another_thread_reads() -> None:
    durations, key, count = Durations(), SessionKey(""), 50_000
    histogram = durations.of(key)
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            list(durations.items())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(count):
            histogram.observe(0.25)
    finally:
        over.set()
        reader.join()
    list(durations.items())
    assert (histogram.count, histogram.total) == (count, 0.25 * count)
