"""One endpoint of a pool: its address, its availability and its calls in flight."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import lru_cache
from math import inf
from urllib.parse import urlsplit

from mcppool.policy.circuit_breaker import CircuitBreaker
from mcppool.policy.concurrency_limit import AdaptiveLimit
from mcppool.policy.decaying_rate import DecayingRate
from mcppool.policy.endpoint_health import EndpointState
from mcppool.policy.health_score import HALF_LIFE
from mcppool.policy.peak_ewma import PeakEwma
from mcppool.policy.slow_start import scaled_weight
from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.spec.address import address_of
from mcppool.upstream.catalog import EndpointCatalog
from mcppool.upstream.failures import ConnectFailed, NoCredentials
from mcppool.upstream.health import EndpointHealth, ProbationQueue
from mcppool.upstream.http.connection_pool import ConnectionPool
from mcppool.upstream.http.credentials import Credentials
from mcppool.upstream.http.dialler import StateEvent
from mcppool.upstream.http.request_head import RequestHead
from mcppool.upstream.http.target import Target
from mcppool.upstream.http.tls import UpstreamTls
from mcppool.upstream.named_metadata import NamedMetadata
from mcppool.upstream.stats import EndpointStats


@lru_cache(maxsize=1024)
def _weight(configured: int) -> float:
    """One number for all endpoints of a weight: each call compares those of two endpoints. (In the compiled build, each
    endpoint contains its own.)"""
    return float(configured)


class Endpoint:
    """A replica as the pool sees it.

    `health` tells whether it takes calls. The endpoint calls `on_change` with the cause when its availability changes,
    when it is lost, and when a silence begins or ends, so that the pool renews its candidates. `weight` is the
    configured weight, scaled by slow start.
    """

    __slots__ = (
        "_max_concurrent", "active", "breakers", "catalog", "concurrency", "connections", "head", "health", "key",
        "latency", "metadata", "on_change", "priority", "score", "spec", "stats", "success", "target",
        "wake_prober", "weight", "zone",
    )  # fmt: skip

    def __init__(
        self,
        spec: EndpointSpec,
        pool: PoolSpec,
        *,
        tls: UpstreamTls | None = None,
        credentials: Credentials | None = None,
        path: str | None = None,
        trouble: Callable[[], str] | None = None,
        joining: bool = False,
        probation: ProbationQueue[Endpoint] | None = None,
        on_change: Callable[[Endpoint, str], None] = lambda _endpoint, _why: None,
        on_state: StateEvent = lambda _state, _seconds: None,
        loop: asyncio.AbstractEventLoop | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.spec = spec
        self.key = spec.key
        parts = urlsplit(spec.url)
        host, port = address_of(spec.url)
        authority = spec.host or parts.netloc.rpartition("@")[2]
        https = parts.scheme == "https"
        self.target = Target(host, port, tls if https else None, authority, path, trouble)
        self.head = RequestHead(spec, pool, authority, credentials)
        self.weight = self.full_weight
        self.zone = spec.zone
        self.priority = spec.priority
        self.active = 0
        self.concurrency: AdaptiveLimit | None = None
        """The limit that adapts, with `limits.endpoint = "auto"`."""
        self._limit(pool)
        self.latency = PeakEwma()
        self.success = DecayingRate(HALF_LIFE)
        self.score = 1.0  # the pool renews all scores together (policy.health_score)
        self.breakers: dict[str, CircuitBreaker] = {}  # by tool; only tools with recent failures here
        self.catalog: EndpointCatalog | None = None
        self.metadata = NamedMetadata()
        self.stats = EndpointStats()
        self.on_change = on_change
        self.wake_prober: Callable[[], None] = lambda: None
        self.connections = ConnectionPool(
            self.target, pool, loop=loop, on_connect=self._connected, on_state=on_state, rng=rng
        )
        queue = ProbationQueue[Endpoint]() if probation is None else probation
        self.health = EndpointHealth[Endpoint](self, queue, joining=joining, draining=spec.draining)

    def __repr__(self) -> str:
        """Its address and state, for logs."""
        return f"<Endpoint {self.key} {self.state} active={self.active}>"

    @property
    def state(self) -> str:
        """One word for people: `draining`, `unreachable`, `hung`, `joining`, `ejected`, `unhealthy`, `busy` or
        `available`."""
        return self.health.state.word

    @property
    def places(self) -> float:
        """Number of calls that `limits.endpoint` allows in flight; infinity without a limit."""
        return self.concurrency.places if self.concurrency is not None else self._max_concurrent

    @property
    def available(self) -> bool:
        """Whether the picker may choose it."""
        return self.health.state.available

    @property
    def lost(self) -> bool:
        """Whether it refuses connections or hangs; only a check brings it back."""
        return self.health.state.lost

    @property
    def draining(self) -> bool:
        """Whether it takes no new calls because it is leaving."""
        return self.health.state.draining

    @property
    def well(self) -> bool:
        """Whether its active checks pass and it is not ejected."""
        return self.health.well

    @property
    def busy(self) -> bool:
        """Whether it is silent now, and expected to answer again."""
        return self.health.busy

    @property
    def full_weight(self) -> float:
        """The configured weight, before slow start scales it."""
        return _weight(self.spec.weight)

    def drain(self) -> None:
        """Take no new request; calls in flight go on."""
        self.connections.end_streams()
        self.health.drain()

    def reconfigure(self, spec: EndpointSpec, pool: PoolSpec, credentials: Credentials | None = None) -> None:
        """Apply changed settings of the same address."""
        self.spec = spec
        self.weight = self.full_weight
        self.zone = spec.zone
        self.priority = spec.priority
        self.head = RequestHead(spec, pool, self.target.authority, credentials)
        self.connections.configure(pool)
        self._limit(pool)
        if not spec.draining:
            self.health.resume("the configuration says so")
        elif not self.draining:
            self.drain()

    async def obtain_credentials(self) -> None:
        """Wait for credentials that are being fetched, and for those of a new configuration if it changes meanwhile.
        Raises NoCredentials if there are none."""
        while True:
            head = self.head
            try:
                await head.obtain()
                return
            except NoCredentials:
                if head is self.head:
                    raise

    def ramp(self, window: float, now: float) -> bool:
        """Scale the weight by slow start over `window` seconds; returns whether the weight may have changed."""
        since = self.health.available_since
        if since is None:
            return False
        self.weight = scaled_weight(self.full_weight, since, window, now)
        if now - since >= window:
            self.health.slow_start_over()
        return True

    def health_changed(self, before: EndpointState, why: str) -> None:
        """Update everything that depends on its health."""
        after = self.health.state
        if after.available and not before.available:  # earlier failures would keep calls away from it
            self.latency = PeakEwma()
            self.success = DecayingRate(HALF_LIFE)
        self.on_change(self, why)
        if after.lost and not before.lost:
            self.wake_prober()

    def _limit(self, pool: PoolSpec) -> None:
        limit = pool.limits.endpoint
        adapts = limit is not None and limit.max_concurrent is None
        self._max_concurrent = limit.max_concurrent or inf if limit is not None else inf
        if not adapts:
            self.concurrency = None
        elif self.concurrency is None:
            self.concurrency = AdaptiveLimit()

    def _connected(self, failure: ConnectFailed | None) -> None:
        if failure is not None:
            self.health.connect_failed(failure)
