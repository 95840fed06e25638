"""One attempt of a call on one endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from mcppool.observe.recent_events import RecentEvents
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.request_id import ReissuedRequest
from mcppool.pipeline.routing.pins import Pins
from mcppool.pipeline.sessions.sealed_ids import Sessions
from mcppool.pipeline.settings import Settings
from mcppool.policy.memory_budget import MemoryAccount
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.http.connection import Connection


@dataclass(frozen=True, slots=True)
class ResponseContext:
    """State shared by the steps after an answer: `account` is charged with the held parts of answers."""

    settings: Settings
    sessions: Sessions
    pins: Pins
    recent: RecentEvents
    account: MemoryAccount


class Attempt:
    """The facts that an answer is judged by.

    `reissue` is set if the request goes out under an id of its own; a `movable` attempt leaves an endpoint that proves
    to hang; `started` is its beginning (monotonic seconds). `connection` carries it while it is in flight, and `line`
    is the header line of its session there.
    """

    __slots__ = (
        "call", "connection", "context", "endpoint", "line", "movable", "outcome", "plan", "reissue", "reply",
        "started",
    )  # fmt: skip

    def __init__(
        self,
        context: ResponseContext,
        call: Call,
        plan: Plan,
        endpoint: Endpoint,
        reply: Reply,
        outcome: Outcome,
        reissue: ReissuedRequest | None,
        started: float,
    ) -> None:
        self.context = context
        self.call = call
        self.plan = plan
        self.endpoint = endpoint
        self.reply = reply
        self.outcome = outcome
        self.reissue = reissue
        self.movable = False
        self.connection: Connection | None = None
        self.line = b""
        self.started = started
