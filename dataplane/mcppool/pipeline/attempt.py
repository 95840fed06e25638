"""One try of a call on one endpoint, and how the call ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcppool.pipeline.exchange import Call, Reply
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.reissue import Reissue

if TYPE_CHECKING:
    from mcppool.pipeline.pool import Pool
    from mcppool.upstream.endpoint import Endpoint


class Outcome:
    """How a call ended, for metrics and log.

    `status` is as in `mcp_tool_executions_total`, or `cancelled`; `internal_error` tells that the answer was -32603; `size`
    is the answer's, in bytes; `endpoint` the last that was tried.
    """

    __slots__ = ("attempts", "endpoint", "internal_error", "size", "status")

    def __init__(self) -> None:
        self.status = "cancelled"
        self.attempts = 0
        self.internal_error = False
        self.endpoint: Endpoint | None = None
        self.size = 0


class Attempt:
    """What an answer is judged against. `reissue` is set where the request goes out under an id of its own."""

    __slots__ = ("call", "endpoint", "outcome", "plan", "pool", "reissue", "reply")

    def __init__(
        self,
        pool: Pool,
        call: Call,
        plan: Plan,
        endpoint: Endpoint,
        reply: Reply,
        outcome: Outcome,
        reissue: Reissue | None,
    ) -> None:
        self.pool = pool
        self.call = call
        self.plan = plan
        self.endpoint = endpoint
        self.reply = reply
        self.outcome = outcome
        self.reissue = reissue

    @property
    def body(self) -> bytes:
        """What the endpoint is sent."""
        return self.plan.body if self.reissue is None else self.reissue.body
