"""Sends spans and durations to a collector, from a thread of its own.

Spans wait in a queue that is bounded in number, and a span in its texts. A collector that is slow or away costs spans,
never calls: beyond the bound, spans are dropped and counted, and the log tells when that begins and ends.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final, Protocol

from mcppool.observe.audit_sinks import SinkUnavailable
from mcppool.observe.logs import get_logger
from mcppool.observe.tracing.durations import PoolDurations
from mcppool.observe.tracing.environment import TracingSettings, tracing_settings
from mcppool.observe.tracing.span import Span
from mcppool.spec.sections.tracing import TracingSpec

BATCH: Final = 512
"""Upper bound on the spans of one request; so many are sent at once."""
RETRY_AFTER: Final = 1.0
"""Seconds after which the thread tries again."""
FAREWELL: Final = 2.0
"""Seconds that waiting spans have at the end."""

log = get_logger("tracing")


class Exporter(Protocol):
    """Where spans and durations go. Its methods may wait. They raise SinkUnavailable if the same may be sent again
    later, and return the number of spans that are lost for good."""

    def spans(self, spans: Sequence[Span]) -> int:
        """Send spans."""
        ...

    def durations(self, pools: Sequence[PoolDurations]) -> None:
        """Send durations."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


class SpanSender:
    """A queue of spans, and the thread that sends them. `add` never waits.

    `queue` is the upper bound on waiting spans. A span waits up to `delay` seconds for others to be sent with it.
    Durations are sent each `metrics_interval` seconds, or never.
    """

    def __init__(self, exporter: Exporter, queue: int, metrics_interval: float | None, delay: float) -> None:
        self._full = 0  # spans that found no room, counted by the event loop
        self._lost = 0  # spans that the collector did not take, counted by the thread
        self._exporter = exporter
        self._bound = queue
        self._interval = metrics_interval
        self._delay = delay
        self._waiting: deque[Span] = deque()
        self._pools: list[PoolDurations] = []
        self._leaving: list[PoolDurations] = []
        self._reported = 0
        self._dropping = False
        self._taken = False  # the collector has taken all of the last request
        self._closing = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tracing", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Number of spans that were not sent."""
        return self._full + self._lost

    def add(self, span: Span) -> bool:
        """Have a span sent; False if it is dropped."""
        waiting = self._waiting
        if len(waiting) >= self._bound:
            self._full += 1
            return False
        waiting.append(span)
        if len(waiting) == min(BATCH, self._bound):
            self._wake.set()
        return True

    def follow(self, pool: PoolDurations) -> None:
        """Send the durations of a pool from now on."""
        self._pools.append(pool)

    def leave(self, pool: PoolDurations) -> None:
        """Send them once more, and then no more."""
        self._pools.remove(pool)
        if self._interval is not None:
            self._leaving.append(pool)
            self._wake.set()

    def close(self, *, wait: bool = True) -> None:
        """Send what waits, for at most `FAREWELL`; with `wait`, before it returns."""
        self._closing = True
        self._wake.set()
        if wait:
            self._thread.join(FAREWELL + 1.0)

    # --- in the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        due = monotonic() + self._interval if self._interval is not None else math.inf
        failing = False
        deadline = 0.0
        while True:
            self._wake.wait(min(self._delay, max(due - monotonic(), 0.0)))
            self._wake.clear()
            if self._closing and not deadline:
                deadline = monotonic() + FAREWELL
            try:
                self._send_spans()
                if self._interval is not None and (self._leaving or monotonic() >= due):
                    due = monotonic() + self._interval
                    self._send_durations()
            except SinkUnavailable as error:
                if not failing:
                    log.warning("collector_unavailable", error=str(error))
                failing = True
                self._taken = False
                if self._closing:
                    break
                self._pause(RETRY_AFTER if error.retry_after is None else error.retry_after)
            except Exception as error:  # a defect must not end the thread: the queue would stay full
                log.error("durations_not_sent", exception=repr(error))
            else:
                if failing:
                    log.event("collector_available_again")
                failing = False
            self._report()
            if self._closing and ((not self._waiting and not self._leaving) or monotonic() > deadline):
                break
        self._lost += len(self._waiting)
        self._report()
        self._exporter.close()

    def _send_spans(self) -> None:
        """Send all that waits now. A batch stays in the queue until it is sent."""
        while count := min(BATCH, len(self._waiting)):
            batch = [self._waiting[index] for index in range(count)]
            try:
                lost = self._exporter.spans(batch)
            except SinkUnavailable:
                raise
            except Exception as error:  # a defect: the same spans would fail again
                log.error("spans_not_sent", exception=repr(error))
                lost = count
            for _ in batch:
                self._waiting.popleft()
            self._lost += lost
            self._taken = not lost

    def _send_durations(self) -> None:
        leaving = list(self._leaving)
        pools = [*self._pools, *leaving]
        if pools:
            self._exporter.durations(pools)
        for pool in leaving:
            self._leaving.remove(pool)

    def _pause(self, seconds: float) -> None:
        """Wait before the next try. Spans that come meanwhile do not end the wait."""
        until = monotonic() + seconds
        while not self._closing and (left := until - monotonic()) > 0:
            self._wake.wait(left)
            self._wake.clear()

    def _report(self) -> None:
        """Tell in the log that spans are dropped: at once, and then when the collector takes all again."""
        dropped = self.dropped
        if dropped != self._reported:
            if not self._dropping:
                log.warning("spans_dropped", spans=dropped - self._reported)
            self._dropping = True
            self._reported = dropped
        elif self._dropping and self._taken:
            log.event("spans_kept_again", dropped=dropped)
            self._dropping = False


class Senders:
    """The senders of a process: pools with equal settings share one."""

    def __init__(self, make: Callable[[TracingSpec, TracingSettings], SpanSender]) -> None:
        self._make = make
        self._open: dict[str, tuple[SpanSender, TracingSettings, int]] = {}

    def take(self, spec: TracingSpec) -> tuple[SpanSender, TracingSettings]:
        """The sender for `spec`; the taker gives it back."""
        key = spec.model_dump_json()
        found = self._open.get(key)
        if found is None:
            settings = tracing_settings(spec, os.environ)
            for doubt in settings.doubts:
                log.warning("tracing_advice", advice=doubt)
            found = self._make(spec, settings), settings, 0
        sender, settings, users = found
        self._open[key] = sender, settings, users + 1
        return sender, settings

    def give_back(self, spec: TracingSpec, *, wait: bool = True) -> None:
        """A taker needs it no more. The last one closes it, and waits for that with `wait`."""
        key = spec.model_dump_json()
        sender, settings, users = self._open[key]
        if users > 1:
            self._open[key] = sender, settings, users - 1
            return
        del self._open[key]
        sender.close(wait=wait)


def _make_sender(spec: TracingSpec, settings: TracingSettings) -> SpanSender:
    from mcppool.observe.tracing.otlp import OtlpExporter  # an extra, which other configurations do without

    return SpanSender(
        OtlpExporter(spec, settings), spec.queue,
        spec.metrics_interval if settings.metrics_url is not None else None, settings.delay,
    )  # fmt: skip


senders: Final = Senders(_make_sender)
"""Those of this process."""
