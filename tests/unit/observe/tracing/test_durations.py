"""Histograms that count in batches equal those that count at once."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from mcppool.observe.histogram import Histogram
from mcppool.observe.tracing.durations import BATCH, BOUNDS, BatchedHistogram, Durations, SessionKey, usual_durations

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


@given(st.lists(SECONDS, max_size=3 * BATCH), st.lists(SECONDS, max_size=20))
def test_values_of_both_sides_are_counted_in_both_series(together: list[float], calls: list[float]) -> None:
    plain, sides = (Histogram(BOUNDS), Histogram(BOUNDS)), (BatchedHistogram(BOUNDS), BatchedHistogram(BOUNDS))
    usual = usual_durations(*sides)
    for value in together:
        usual.both.append(value)
        if len(usual.both) >= BATCH:
            usual.count_waiting()
            assert usual.both == []
        for histogram in plain:
            histogram.observe(value)
    for value in calls:
        usual.observe(value, None)
        plain[0].observe(value)
    for expected, found in zip(plain, sides, strict=True):
        found.count_waiting()
        assert found.counts == expected.counts
        assert abs(found.total - expected.total) <= 1e-9 * expected.total


def test_two_series_share_one_list_however_often_tracing_begins_again() -> None:
    clients, servers = BatchedHistogram(BOUNDS), BatchedHistogram(BOUNDS)
    usual = usual_durations(clients, servers)
    assert usual_durations(clients, servers) is usual
    assert (clients.shared, servers.shared) == ([usual], [usual])


def test_whoever_reads_the_series_sees_every_value() -> None:
    durations, key = Durations(), SessionKey("2025-11-25")
    durations.of(key).observe(0.3)
    ((found, histogram),) = durations.items()
    assert (found, histogram.count, histogram.total) == (key, 1, 0.3)


def test_no_value_is_lost_or_counted_twice_while_another_thread_reads() -> None:
    durations, count = Durations(), 25_000
    histogram, other = durations.of(SessionKey("")), durations.of(SessionKey("2025-11-25"))
    usual = usual_durations(histogram, other)
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            list(durations.items())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(count):
            histogram.observe(0.25)
            usual.both.append(0.25)
            if len(usual.both) >= BATCH:
                usual.count_waiting()
    finally:
        over.set()
        reader.join()
    list(durations.items())
    assert (histogram.count, histogram.total) == (2 * count, 0.5 * count)
    assert (other.count, other.total) == (count, 0.25 * count)
