"""The way of a call, top to bottom: plan, answer locally what may be, attempts, account.

`serve` is one coroutine that awaits lease, first byte and rest; everything that it acquires it releases in `finally`, so that
it can be cancelled at any await (a modern client that disconnects cancels its call).
"""

from __future__ import annotations

from mcppool.pipeline.account import account
from mcppool.pipeline.exchange import Call, Reply
from mcppool.pipeline.faults import answer_fault
from mcppool.pipeline.local import answer_locally
from mcppool.pipeline.plan import Plan, make_plan
from mcppool.pipeline.pool import Pool
from mcppool.pipeline.reissue import Reissue
from mcppool.pipeline.relay import relay
from mcppool.policy.retry_class import RetryClass
from mcppool.upstream.connection import Connection
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed, NoEndpoint, SessionGone


class Outcome:
    """How a call ended, for metrics and log: `status` as in `mcp_tool_executions_total`, or `cancelled`."""

    __slots__ = ("attempts", "endpoint", "size", "status")

    def __init__(self) -> None:
        self.status = "cancelled"
        self.attempts = 0
        self.endpoint: Endpoint | None = None
        self.size = 0


async def serve(pool: Pool, call: Call, reply: Reply) -> None:
    """Answer `call` through `reply`, whatever happens. Only cancellation is raised."""
    plan = make_plan(call, pool)
    outcome = Outcome()
    try:
        if not await answer_locally(pool, call, reply, outcome):
            await _attempts(pool, call, plan, reply, outcome)
    finally:
        account(pool, call, plan, outcome)


async def _attempts(pool: Pool, call: Call, plan: Plan, reply: Reply, outcome: Outcome) -> None:
    """Try until there is an answer, or no more attempt is allowed."""
    tried: tuple[Endpoint, ...] = ()
    failure: AttemptFailed | None = None
    while True:
        try:
            endpoint = pool.endpoint_for(call, tried)
        except SessionGone as gone:
            answer_fault(call, reply, gone, outcome)
            return
        if endpoint is None:
            answer_fault(call, reply, failure or NoEndpoint("no endpoint is available"), outcome)
            return
        outcome.attempts += 1
        outcome.endpoint = endpoint
        reissue = Reissue(call, outcome.attempts) if failure is not None and failure.sent else None
        try:
            await _attempt(pool, call, plan, reply, outcome, endpoint, reissue)
            return
        except AttemptFailed as error:
            failure = error
            endpoint.stats.failed(error)
            tried = (*tried, endpoint)
        if not _may_repeat(plan, failure, outcome, pool):
            answer_fault(call, reply, failure, outcome)
            return
        pool.metrics.retry(plan.retry_class.name.lower())


async def _attempt(
    pool: Pool, call: Call, plan: Plan, reply: Reply, outcome: Outcome, endpoint: Endpoint, reissue: Reissue | None
) -> None:
    """One try on one endpoint. Raises AttemptFailed while nothing has gone to the client."""
    timeouts = pool.spec.timeouts
    now = pool.now()
    connections = endpoint.connections
    connection: Connection | None = None
    endpoint.active += 1
    endpoint.stats.requests += 1
    try:
        connection = connections.try_lease(now, unsafe=plan.unsafe)
        if connection is None:
            connection = await connections.lease(now, unsafe=plan.unsafe)
            now = pool.now()
        body = call.body if reissue is None else reissue.body
        data = b"%b%b%b%bcontent-length: %d\r\n\r\n%b" % (
            call.verb, endpoint.head, call.session_line, call.forward, len(body), body,
        )  # fmt: skip
        response = await connection.request(data, now + timeouts.first_byte, timeouts.stream_idle, plan.deadline)
        await relay(pool, call, endpoint, response, reply, outcome, reissue)
    finally:
        endpoint.active -= 1
        if connection is not None:
            connection.release()


def _may_repeat(plan: Plan, failure: AttemptFailed, outcome: Outcome, pool: Pool) -> bool:
    """The table of DESIGN §6: what was never sent may always be repeated, what was sent only if it is safe or idempotent."""
    if not failure.sent:
        return True
    return plan.retry_class is not RetryClass.UNSAFE and outcome.attempts < pool.spec.retry_policy.max_attempts
