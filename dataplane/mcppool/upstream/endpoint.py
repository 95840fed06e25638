"""One endpoint of a pool: where it is, whether it may be chosen, what is in flight there."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from mcppool.policy.health_check import HealthState
from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.upstream.catalog import EndpointCatalog
from mcppool.upstream.connection_pool import ConnectionPool, StateEvent, Target
from mcppool.upstream.failures import AttemptFailed


@dataclass(slots=True)
class EndpointStats:
    """Counters of one endpoint since it was added."""

    requests: int = 0
    failures: int = 0
    checks: int = 0
    failed_checks: int = 0
    last_fault: str = ""
    faults: dict[str, int] = field(default_factory=dict)

    def failed(self, failure: AttemptFailed) -> None:
        """Count a failed attempt by its reason."""
        self.failures += 1
        self.last_fault = failure.detail
        reason = str(failure.reason)
        self.faults[reason] = self.faults.get(reason, 0) + 1


class Endpoint:
    """A replica as the pool sees it.

    `available` is what balancing asks; it is recomputed on each change of what it depends on, and `on_change` is called
    when it turned, so that the pool can renew its list of candidates.
    """

    __slots__ = (
        "active", "available", "catalog", "connections", "draining", "head", "health", "joining", "key", "on_change",
        "priority", "spec", "stats", "target", "unreachable", "wake_prober", "weight", "zone",
    )  # fmt: skip

    def __init__(
        self,
        spec: EndpointSpec,
        pool: PoolSpec,
        *,
        joining: bool = False,
        on_change: Callable[[Endpoint], None] = lambda _: None,
        on_state: StateEvent = lambda _state, _seconds: None,
        loop: asyncio.AbstractEventLoop | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.spec = spec
        self.key = spec.url
        parts = urlsplit(spec.url)
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        host = parts.hostname or ""
        self.target = Target(host, parts.port or (443 if tls else 80), tls)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        authority = parts.netloc.rpartition("@")[2]
        self.head = f" {path} HTTP/1.1\r\nhost: {authority}\r\n".encode("latin-1")
        self.weight = float(spec.weight)
        self.zone = spec.zone
        self.priority = spec.priority
        self.draining = spec.draining
        self.active = 0
        self.health = HealthState()
        self.unreachable = False
        self.catalog: EndpointCatalog | None = None
        self.stats = EndpointStats()
        self.on_change = on_change
        self.wake_prober: Callable[[], None] = lambda: None
        self.joining = joining  # added while others serve: takes calls after its first good check
        self.available = not self.draining and not joining
        self.connections = ConnectionPool(
            self.target, pool, loop=loop, on_connect=self._connected, on_state=on_state, rng=rng
        )

    def __repr__(self) -> str:
        """Its address and state, for logs."""
        return f"<Endpoint {self.key} {self.state} active={self.active}>"

    @property
    def state(self) -> str:
        """One word for people: `draining`, `unreachable`, `joining`, `unhealthy` or `available`."""
        if self.draining:
            return "draining"
        if self.unreachable:
            return "unreachable"
        if self.joining:
            return "joining"
        return "available" if self.health.healthy else "unhealthy"

    def drain(self) -> None:
        """Take no new request; those in flight go on."""
        self.draining = True
        self.refresh()

    def reconfigure(self, spec: EndpointSpec, pool: PoolSpec) -> None:
        """Take over changed settings of the same address."""
        self.spec = spec
        self.weight = float(spec.weight)
        self.zone = spec.zone
        self.priority = spec.priority
        self.draining = spec.draining
        self.connections.configure(pool)
        self.refresh()

    def refresh(self) -> None:
        """Recompute `available`."""
        available = not self.draining and not self.unreachable and not self.joining and self.health.healthy
        if available != self.available:
            self.available = available
            self.on_change(self)

    def checked(self, passed: bool, pool: PoolSpec, why: str = "") -> None:
        """Take in the result of an active check. A good one ends what unreachability there was."""
        self.stats.checks += 1
        if passed:
            self.unreachable = self.joining = False
        else:
            self.stats.failed_checks += 1
            self.stats.last_fault = why
        self.health.record(
            passed,
            unhealthy_threshold=pool.health_check.unhealthy_threshold,
            healthy_threshold=pool.health_check.healthy_threshold,
        )
        self.refresh()

    def refused(self) -> None:
        """Nobody listens there: out at once, until a check finds it again."""
        if not self.unreachable:
            self.unreachable = True
            self.refresh()
            self.wake_prober()

    def _connected(self, failure: AttemptFailed | None) -> None:
        if failure is not None:
            self.stats.last_fault = failure.detail
            self.refused()
