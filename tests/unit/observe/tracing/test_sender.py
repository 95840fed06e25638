"""The queue of spans: bounded, never waiting, and its losses are counted and told."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from mcppool.observe.audit_sinks import SinkUnavailable
from mcppool.observe.tracing import sender
from mcppool.observe.tracing.durations import PoolDurations
from mcppool.observe.tracing.sender import SpanSender
from mcppool.observe.tracing.span import Operation, Span
from mcppool.policy.trace_context import new_trace_id
from tests.waiting import until


class Sink:
    """Takes spans unless it is `away`, or waits while `open` is not set; `refuses` so many of each request."""

    def __init__(self) -> None:
        self.taken: list[Span] = []
        self.durations_of: list[str] = []
        self.away = False
        self.broken = False
        self.refuses = 0
        self.closed = False
        self.open = threading.Event()
        self.open.set()
        self.waiting = threading.Event()

    def spans(self, spans: Sequence[Span]) -> int:
        self.waiting.set()
        self.open.wait(60)
        if self.broken:
            raise UnicodeEncodeError("utf-8", "", 0, 1, "broken")
        if self.away:
            raise SinkUnavailable("away", 0.01)
        self.taken += spans
        return self.refuses

    def durations(self, pools: Sequence[PoolDurations]) -> None:
        self.durations_of += [pool.pool for pool in pools]

    def close(self) -> None:
        self.closed = True


class Told:
    """A logger that keeps the names of events."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def warning(self, event: str, /, **fields: object) -> None:
        self.events.append(event)

    event = error = warning


def telling(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The events that the sender logs from now on."""
    told = Told()
    monkeypatch.setattr(sender, "log", told)
    return told.events


def span() -> Span:
    return Span(Operation("ping", "server", {}), new_trace_id(), {})


DELAY = 0.01


def test_spans_are_sent_in_their_order_and_the_rest_at_the_end() -> None:
    sink = Sink()
    queue = SpanSender(sink, 1000, None, DELAY)
    spans = [span() for _ in range(600)]
    assert all(queue.add(each) for each in spans)
    queue.close()
    assert sink.taken == spans
    assert sink.closed
    assert queue.dropped == 0


def test_a_slow_collector_costs_spans_and_never_a_wait() -> None:
    sink = Sink()
    sink.open.clear()
    queue = SpanSender(sink, 3, None, DELAY)
    assert [queue.add(span()) for _ in range(3)] == [True] * 3
    assert sink.waiting.wait(60)
    assert [queue.add(span()) for _ in range(2)] == [False] * 2
    assert queue.dropped == 2
    sink.open.set()
    queue.close()
    assert len(sink.taken) == 3


async def test_a_collector_that_comes_back_gets_what_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    told = telling(monkeypatch)
    sink = Sink()
    sink.away = True
    queue = SpanSender(sink, 10, None, DELAY)
    queue.add(span())
    await until(lambda: told == ["collector_unavailable"], "the log tells that it is away")
    sink.away = False
    await until(lambda: len(sink.taken) == 1, "it is sent")
    await until(lambda: "collector_available_again" in told, "and that it is back")
    queue.close()
    assert told == ["collector_unavailable", "collector_available_again"]
    assert queue.dropped == 0


async def test_spans_that_cannot_be_encoded_do_not_stay_in_the_way_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    told = telling(monkeypatch)
    sink = Sink()
    sink.broken = True
    queue = SpanSender(sink, 10, None, DELAY)
    queue.add(span())
    await until(lambda: queue.dropped == 1, "it is dropped")
    sink.broken = False
    queue.add(span())
    await until(lambda: len(sink.taken) == 1, "the next one is sent")
    queue.close()
    assert told.count("spans_not_sent") == 1


async def test_spans_that_the_collector_refuses_are_counted_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = telling(monkeypatch)
    sink = Sink()
    sink.refuses = 1
    queue = SpanSender(sink, 10, None, DELAY)
    queue.add(span())
    await until(lambda: told == ["spans_dropped"], "it is told")
    assert queue.dropped == 1
    queue.add(span())
    await until(lambda: queue.dropped == 2, "another one is counted")
    assert told == ["spans_dropped"]
    sink.refuses = 0
    queue.add(span())
    await until(lambda: told == ["spans_dropped", "spans_kept_again"], "it is told that spans are taken again")
    queue.close()


async def test_the_durations_of_a_pool_are_sent_once_more_when_it_leaves() -> None:
    sink = Sink()
    queue = SpanSender(sink, 10, 3600.0, DELAY)
    pools = PoolDurations("a"), PoolDurations("b")
    for pool in pools:
        queue.follow(pool)
    queue.leave(pools[0])
    await until(lambda: "a" in sink.durations_of, "they are sent")
    count = sink.durations_of.count("a")
    queue.leave(pools[1])
    queue.close()
    assert sink.durations_of.count("a") == count
    assert "b" in sink.durations_of


async def test_durations_do_not_wait_for_spans() -> None:
    sink = Sink()
    queue = SpanSender(sink, 10, 0.01, delay=3600.0)
    queue.follow(PoolDurations("a"))
    await until(lambda: len(sink.durations_of) >= 2, "they are sent at each interval")
    queue.close()


async def test_many_spans_do_not_wait_for_others() -> None:
    sink = Sink()
    queue = SpanSender(sink, 3, None, delay=3600.0)
    for _ in range(3):
        queue.add(span())
    await until(lambda: len(sink.taken) == 3, "they are sent")
    queue.close()
