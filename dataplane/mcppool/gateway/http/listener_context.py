"""The parts that all connections of one listener share."""

from __future__ import annotations

import asyncio

from mcppool.gateway.http.client_caps import UNLIMITED, ClientCaps, Clients, ClientUsage
from mcppool.gateway.http.http_request import RequestLimits
from mcppool.gateway.http.read_scheduler import ReadScheduler
from mcppool.observe.logs import get_logger
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.rate_limited_event import RateLimitedEvent
from mcppool.policy.memory_budget import MemoryBudget

log = get_logger("listener")


class ListenerContext:
    """Limits, budgets and counters of one listener. `detached` are calls that go on without their clients."""

    def __init__(
        self,
        metrics: GatewayMetrics,
        max_body: int,
        memory: MemoryBudget | None = None,
        caps: ClientCaps = UNLIMITED,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.metrics = metrics
        self.memory = memory or MemoryBudget()
        self.answers = self.memory.account("answers")
        self.limits = RequestLimits(max_body, self.memory.account("bodies"))
        self.clients = Clients(caps)
        self.reads = ReadScheduler(self.loop)
        self.detached: set[asyncio.Task[None]] = set()
        self.draining = False
        self._seldom = RateLimitedEvent(log)

    def turn_away(self, cap: str, client: ClientUsage) -> None:
        """Count a connection or a call that a cap refuses or ends, and log it at a bounded rate."""
        self.metrics.turn_away(cap)
        self._seldom.warning("turned_away", cap, cap=cap, client=client.key)

    def refusal(self, client: ClientUsage) -> str | None:
        """The cap that refuses a new connection of this client; None if the connection is served."""
        caps = self.clients.caps
        if self.clients.connections > caps.connections:
            return "max_connections"
        if client.connections > caps.connections_per_client:
            return "max_connections_per_client"
        return None
