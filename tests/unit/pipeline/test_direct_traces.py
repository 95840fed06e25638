"""A sampled call that runs without a task has the spans that it would have in one."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from mcppool.observe.tracing.sender import Senders
from mcppool.observe.tracing.span import Span, current
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.tracing import pool_tracing
from tests.unit.pipeline.pools import Heard, spec_of, tool_call
from tests.unit.pipeline.test_direct_calls import ANSWERS, ONE_ATTEMPT, Client, answered, with_line

TRACED = ONE_ATTEMPT + "\n[tracing]\nenabled = true\nsample_ratio = 1"


class Kept:
    """Keeps the spans that it is to send. It stands for the sender and for its settings."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def add(self, span: Span) -> bool:
        self.spans.append(span)
        return True

    def follow(self, _: object) -> None:
        """Durations are of no interest."""

    leave = follow

    def close(self, *, wait: bool) -> None:
        """Nothing waits."""

    @property
    def shown(self) -> list[tuple[Any, ...]]:
        """All that is not by chance."""
        return [
            (s.operation.kind, s.operation.name, s.operation.attributes, s.attributes, s.error, s.message, s.remote)
            for s in self.spans
        ]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    kept = Kept()
    make: Any = lambda *_: kept  # noqa: E731
    monkeypatch.setattr(pool_tracing, "senders", Senders(make))
    return kept


@pytest.mark.parametrize("answer", ANSWERS)
async def test_spans_are_alike_with_and_without_a_task(kept: Kept, answer: str) -> None:
    seen, shown = [], []
    for direct in (True, False):
        kept.spans.clear()
        seen.append(await answered([ANSWERS[answer]], direct=direct, text=TRACED))
        shown.append(kept.shown)
        attempt, call = kept.spans
        assert (attempt.operation.kind, call.operation.kind) == ("client", "server")
        assert (attempt.trace_id, attempt.parent_id, call.parent_id) == (call.trace_id, call.span_id, "")
        assert call.start <= attempt.start <= attempt.end <= call.end
        assert current.get() is None
    assert seen[0] == seen[1]
    assert shown[0] == shown[1]


async def test_the_request_carries_the_span_of_its_attempt(kept: Kept) -> None:
    pool, line = with_line(TRACED)
    call = tool_call("read", id=1)
    assert pool.begin(call, Heard(), Outcome(), Client()) is None
    line.connection.flush()
    line.says(ANSWERS["JSON"])
    head, body = b"".join(line.transport.written).split(b"\r\n\r\n", 1)
    wanted = kept.spans[0].traceparent
    assert f"traceparent: {wanted}".encode() in head.split(b"\r\n")
    assert json.loads(body)["params"]["_meta"] == {"traceparent": wanted}
    line.transport.dispose()


async def test_the_rest_of_a_cancelled_call_ends_its_spans(kept: Kept) -> None:
    pool, line = with_line(TRACED)
    client = Client()
    assert pool.begin(tool_call("write", id=1), Heard(), Outcome(), client) is None
    assert client.attempt is not None
    client.attempt.go_on()
    assert client.rest is not None
    await asyncio.sleep(0)  # the rest has begun
    client.rest.cancel()
    await asyncio.wait([client.rest])
    assert [(span.operation.kind, span.error) for span in kept.spans] == [
        ("client", "cancelled"), ("server", "cancelled"),
    ]  # fmt: skip
    line.transport.dispose()


@pytest.mark.parametrize("answer", ["JSON", "progress and the answer", "a fault"])
async def test_a_call_that_outlives_tracing_ends_its_spans_once(kept: Kept, answer: str) -> None:
    pool, line = with_line(TRACED)
    client = Client()
    assert pool.begin(tool_call("read", id=1), Heard(), Outcome(), client) is None
    line.connection.flush()
    pool.configure(spec_of(ONE_ATTEMPT, "a"))
    line.says(ANSWERS[answer])
    await line.ends()
    if client.rest is not None:
        await client.rest
    assert [span.operation.kind for span in kept.spans] == ["client", "server"]
    assert all(span.end for span in kept.spans)
    line.transport.dispose()
