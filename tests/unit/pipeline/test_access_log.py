"""What a finished call leaves in the counters."""

from __future__ import annotations

from collections import Counter
from random import Random

from mcppool.observe.tracing.durations import OperationKey, PoolDurations
from mcppool.pipeline.access_log import INVALID_REQUEST, SERVERS_ERROR
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.tracing.durations import CallDurations
from mcppool.upstream.failures import AttemptFailed, QueueFull, TimedOut
from mcppool.wire.era import Era
from tests.unit.pipeline.pools import call_of, planned, pool_of, tool_call

READ = tool_call("read")


def finish(pool: ServerPool, call: Call, status: str, failure: AttemptFailed | None = None) -> None:
    """End a call in this way."""
    outcome = Outcome()
    outcome.status = status
    outcome.failure = failure
    pool.access_log.finished(call, planned(call, pool), outcome)


async def test_failed_and_refused_calls_of_a_tool_are_counted_by_reason() -> None:
    pool = pool_of("", "a")
    for status, failure in (
        ("error", TimedOut("late")), ("error", TimedOut("late")), ("rejected", QueueFull("full")),
        ("error", None), ("rejected", None), ("success", None), ("tool_error", None), ("cancelled", None),
    ):  # fmt: skip
        finish(pool, READ, status, failure)
    stats = pool.metrics.tool("read")
    assert stats.reasons == {"timeout": 2, "queue_full": 1, SERVERS_ERROR: 1, INVALID_REQUEST: 1}
    assert sum(stats.reasons.values()) == stats.error + stats.rejected


async def test_a_lost_call_is_remembered_with_its_tool_and_its_reason() -> None:
    pool = pool_of("", "a")
    finish(pool, READ, "error", TimedOut("late"))
    finish(pool, call_of("prompts/list"), "error", TimedOut("too late"))
    loss = pool.metrics.losses.by_reason["timeout"]
    assert (loss.count, loss.name, loss.detail) == (2, "prompts/list", "too late")


async def test_an_expired_answer_instead_of_an_error_is_no_loss() -> None:
    pool = pool_of("", "a")
    outcome = Outcome()
    outcome.status, outcome.failure, outcome.fell_back = "success", TimedOut("late"), True
    pool.access_log.finished(READ, planned(READ, pool), outcome)
    assert pool.metrics.losses.by_reason == {}
    assert pool.metrics.tool("read").reasons == {}


async def test_calls_are_counted_by_the_era_of_the_client() -> None:
    pool = pool_of("", "a")
    for era in (Era.MODERN, Era.LEGACY, Era.LEGACY):
        finish(pool, tool_call("read", era=era), "success")
    assert (pool.metrics.modern, pool.metrics.legacy) == (1, 2)


MODERN, NEWER = "2026-07-28", "2027-01-01"


async def test_durations_count_by_tool_and_version_whatever_was_counted_before() -> None:
    pool = pool_of("", "a")
    pool.metrics.known_tools = frozenset({"read", "write"})
    durations = PoolDurations("p")
    pool.access_log.durations = CallDurations(pool.metrics, durations)
    calls, attempts, random = Counter[OperationKey](), Counter[OperationKey](), Random(1)
    for _ in range(3000):
        tool, version = random.choice(["read", "write", "unknown"]), random.choice([MODERN, NEWER])
        status, began = random.choice(["success", "success", "tool_error"]), random.choice([0.0, 1.0, 1.0])
        call = tool_call(tool, _meta={"io.modelcontextprotocol/protocolVersion": version})
        outcome = Outcome()
        outcome.status, outcome.began, outcome.ended = status, began, call.received + 0.3
        pool.access_log.finished(call, planned(call, pool), outcome)
        shown, error = "_OTHER" if tool == "unknown" else tool, status.replace("success", "")
        key = OperationKey("tools/call", shown, error, "", version)
        calls[key] += 1
        attempts[key] += began > 0
    assert pool.metrics.tool("read").usual, "otherwise the quick way was not taken"
    for family, expected in ((durations.server_operations, calls), (durations.client_operations, attempts)):
        assert {key: histogram.count for key, histogram in family.items()} == expected
    (seconds,) = {round(each.total / each.count, 6) for _, each in durations.server_operations.items()}
    assert seconds == 0.3
