"""One endpoint of a pool: where it is, whether it may be chosen, what is in flight there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import urlsplit

from mcppool.policy.circuit_breaker import CircuitBreaker
from mcppool.policy.decaying_rate import DecayingRate
from mcppool.policy.hang_detection import Silences
from mcppool.policy.health_check import HealthState
from mcppool.policy.health_score import HALF_LIFE
from mcppool.policy.outlier_detection import OutlierState
from mcppool.policy.peak_ewma import PeakEwma
from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.upstream.catalog import EndpointCatalog
from mcppool.upstream.failures import AttemptFailed, ConnectFailed
from mcppool.upstream.http.connection_pool import ConnectionPool, StateEvent, Target
from mcppool.upstream.http.request_head import RequestHead
from mcppool.upstream.http.tls import UpstreamTls


@dataclass(slots=True)
class EndpointStats:
    """Counters of one endpoint since it was added."""

    requests: int = 0
    failures: int = 0
    checks: int = 0
    failed_checks: int = 0
    answered: bool = False
    """Whether a check has ever been answered well."""
    ejections: int = 0
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

    `available` is what balancing asks; it is recomputed on each change of what it depends on, and `on_change` is
    called when it turned, so that the pool can renew its list of candidates. `weight` is the configured one, scaled by
    slow start.
    """

    __slots__ = (
        "active", "available", "breakers", "catalog", "connections", "contacted", "draining", "head", "health",
        "joining", "key", "latency", "looked", "lost", "on_change", "outlier", "priority", "refuses_checks", "score",
        "silences", "since", "spec", "stats", "success", "suspected", "target", "wake_prober", "weight", "zone",
    )  # fmt: skip

    def __init__(
        self,
        spec: EndpointSpec,
        pool: PoolSpec,
        *,
        tls: UpstreamTls | None = None,
        path: str | None = None,
        trouble: Callable[[], str] | None = None,
        joining: bool = False,
        on_change: Callable[[Endpoint, str], None] = lambda _endpoint, _why: None,
        on_state: StateEvent = lambda _state, _seconds: None,
        loop: asyncio.AbstractEventLoop | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.spec = spec
        self.key = spec.key
        parts = urlsplit(spec.url)
        host = parts.hostname or ""
        authority = spec.host or parts.netloc.rpartition("@")[2]
        https = parts.scheme == "https"
        self.target = Target(
            host, parts.port or (443 if https else 80), tls if https else None, authority, path, trouble
        )
        self.head = RequestHead(spec, pool, authority)
        self.weight = float(spec.weight)
        self.zone = spec.zone
        self.priority = spec.priority
        self.draining = spec.draining
        self.active = 0
        self.health = HealthState()
        self.outlier = OutlierState()
        self.latency = PeakEwma()
        self.success = DecayingRate(HALF_LIFE)
        self.score = 1.0  # renewed with the others of the pool (policy.health_score)
        self.breakers: dict[str, CircuitBreaker] = {}  # by tool; only of tools that failed here of late
        self.lost: str | None = None  # "unreachable" or "hung": out until a check of the prober's succeeds
        self.contacted = False  # a check has a connection to it, and its answer may still come
        self.refuses_checks: int | None = None  # the HTTP status with which it does: clients may have what it wants
        self.silences = Silences()
        self.looked = 0.0  # when the prober has last looked into a suspicion
        self.suspected = False  # a call waits unusually long, and the prober is looking
        self.since: float | None = None  # when it came or came back: the beginning of its slow start
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
        """One word for people: `draining`, `unreachable`, `hung`, `joining`, `ejected`, `unhealthy`, `busy` or
        `available`."""
        if self.draining:
            return "draining"
        if self.lost is not None:
            return self.lost
        if self.joining:
            return "joining"
        if self.outlier.ejected:
            return "ejected"
        if not self.health.healthy:
            return "unhealthy"
        return "busy" if self.busy else "available"

    @property
    def full_weight(self) -> float:
        """Its configured weight, whatever slow start makes of it."""
        return float(self.spec.weight)

    @property
    def well(self) -> bool:
        """Whether its active checks pass and it is not ejected."""
        return self.lost is None and self.health.healthy and not self.outlier.ejected

    @property
    def reachable(self) -> bool:
        """Whether a call may go there when there is nobody better: what panic falls back to."""
        return not self.draining and self.lost is None and not self.joining

    @property
    def busy(self) -> bool:
        """Whether it answers nothing just now, and is expected to go on: it gets new calls last, and keeps what it
        has."""
        return self.silences.since is not None and self.lost is None

    def drain(self) -> None:
        """Take no new request; those in flight go on."""
        self.draining = True
        self.connections.end_streams()
        self.refresh("it is not wanted any more")

    def reconfigure(self, spec: EndpointSpec, pool: PoolSpec) -> None:
        """Take over changed settings of the same address."""
        self.spec = spec
        self.weight = float(spec.weight)
        self.zone = spec.zone
        self.priority = spec.priority
        if spec.draining and not self.draining:
            self.drain()
        self.draining = spec.draining
        self.head = RequestHead(spec, pool, self.target.authority)
        self.connections.configure(pool)
        self.refresh("the configuration says so")

    def refresh(self, why: str = "") -> None:
        """Recompute `available`; an endpoint that came back begins its slow start. `why` is what has happened; without
        it, its last fault."""
        available = self.reachable and self.well
        if available != self.available:
            self.available = available
            self.since = monotonic() if available else None
            if available:  # what its fault made of these would keep balancing away from it
                self.latency = PeakEwma()
                self.success = DecayingRate(HALF_LIFE)
            self.on_change(self, why or self.stats.last_fault)

    def checked(self, passed: bool, pool: PoolSpec, why: str = "") -> None:
        """Take in the result of an active check. A good one ends what unreachability there was."""
        self.stats.checks += 1
        was_lost = self.lost is not None
        if passed:
            self.refuses_checks = None
            self.stats.answered = True
            self._speaks()
            why = "its first check was answered" if self.joining else "a check was answered"
            self.lost = None
            self.joining = False
        else:
            self.stats.failed_checks += 1
            self.stats.last_fault = why
        if was_lost and passed:
            self.connections.warm_up()
        if was_lost:
            self.health = HealthState()  # one good check brings it back; the bad ones so far were about the same thing
        else:
            self.health.record(
                passed,
                unhealthy_threshold=pool.health_check.unhealthy_threshold,
                healthy_threshold=pool.health_check.healthy_threshold,
            )
        self.refresh(why)

    def checks_refused(self, status: int | None, pool: PoolSpec, why: str) -> None:
        """It answers our checks with a refusal: others are preferred, and where there are none calls go there."""
        self.refuses_checks = status
        self._speaks()
        self.lost = None
        self.joining = False
        self.checked(False, pool, why)

    def lose(self, how: str) -> None:
        """Nobody listens there (`unreachable`), or nobody answers (`hung`): out at once, until a check finds it
        again."""
        self.refuses_checks = None
        if how != "hung":
            self.silences.forget()
            self.connections.doubt()
        if self.lost is None:
            self.lost = how
            self.outlier = OutlierState()  # what its calls met was this
            self.stats.ejections += 1
            if self.available:
                self.refresh()
            else:  # where there is nobody better it was a candidate all the same
                self.on_change(self, self.stats.last_fault)
            self.wake_prober()

    def falls_silent(self, since: float, why: str) -> None:
        """It accepts connections and has answered nothing since then, while it holds a call of ours."""
        self.stats.last_fault = why
        if self.lost is None and self.silences.since is None:
            self.silences.begin(since)
            self.on_change(self, why)

    def _speaks(self) -> None:
        """It answers: a silence is over."""
        self.connections.forget_given_up()
        if self.silences.since is not None:
            lasted = self.silences.end(monotonic())
            if self.lost is None:
                self.on_change(self, f"it answers again after {lasted:.1f} s")

    def starts(self) -> None:
        """It has answered nothing yet, and takes its time: others are preferred until its first good check."""
        calls = self.stats.requests - self.stats.failures - self.active
        if not self.stats.answered and calls <= 0 and not self.joining:
            self.joining = True
            self.refresh("it has answered nothing yet")

    def unreached(self, failure: ConnectFailed) -> None:
        """No connection to it could be made: it is lost, unless that was for a reason of ours."""
        self.stats.last_fault = failure.detail
        if not failure.ours:
            self.lose("hung" if failure.silent else "unreachable")

    def _connected(self, failure: ConnectFailed | None) -> None:
        if failure is not None:
            self.unreached(failure)
