"""The state of the gateway's other parts, as plain values taken at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from mcppool.observe.counter_families import Family
from mcppool.policy.tool_differences import NO_DIFFERENCES, ToolDifferences

Status = Literal["healthy", "degraded", "unhealthy"]
"""`degraded`: it works, and somebody should look; `unhealthy`: it does not work."""

WORST_STATES: Final = (
    "unreachable", "hung", "unhealthy", "ejected", "probation", "joining", "busy", "draining", "available",
)  # fmt: skip
"""The states of an endpoint, the worst first."""


@dataclass(frozen=True, slots=True)
class EndpointView:
    """One endpoint of a pool. Totals count since the endpoint was added."""

    url: str
    available: bool
    """May be picked for a call."""
    state: str = "available"
    """One word: `available`, `busy`, `draining`, `unreachable`, `hung`, `joining`, `ejected` or `unhealthy`."""
    reason: str | None = None
    """The reason for that state, for people."""
    since: datetime | None = None
    """When it got this state."""
    expected_share: float | None = None
    """Its share of calls by weight among the endpoints that balancing chooses from, 0 to 1; None if none is."""
    draining: bool = False
    weight: int = 100
    zone: str | None = None
    priority: int = 0
    score: float = 1.0
    """Health score, 0 to 1 (`policy.health_score`)."""
    share: float | None = None
    """Its recent share of the pool's attempts, 0 to 1; None if there were none."""
    rate: float = 0.0
    """Recent attempts per second."""
    active_requests: int = 0
    limit: int | None = None
    """Calls that it may have in flight, if that is learned."""
    sessions: int = 0
    """Sessions of clients that live there."""
    latency: float | None = None
    """Moving average of the time to an answer, in seconds; None before the first one."""
    connections: Mapping[str, int] = field(default_factory=dict)
    """Number of connections in each state now."""
    requests: int = 0
    failures: int = 0
    ejections: int = 0
    health_checks: int = 0
    health_check_failures: int = 0
    breakers: Mapping[str, str] = field(default_factory=dict)
    """By tool, `closed`, `half_open` or `open`: only tools with recent failures there."""
    processes: ProcessesView | None = None
    """Of a local server."""


ENDPOINT_GAUGES: Final = (
    Family("available", "mcppool_endpoint_available", "1 if it may be picked for a call."),
    Family("draining", "mcppool_endpoint_draining", "1 while it drains: it gets no new calls."),
    Family("weight", "mcppool_endpoint_weight", "Its configured weight."),
    Family("active_requests", "mcppool_endpoint_active_requests", "Calls in flight there."),
    Family("limit", "mcppool_endpoint_concurrency_limit", "Calls that `limits.endpoint = auto` allows there now."),
    Family("latency", "mcppool_endpoint_latency_seconds", "Moving average of its time to an answer."),
    Family("score", "mcppool_endpoint_health_score", "Health score, 0 to 1; 0 while it is unavailable."),
)
"""Attributes of an endpoint that are families of their own."""

ENDPOINT_COUNTERS: Final = (
    Family("requests", "mcppool_endpoint_requests_total", "Attempts sent there."),
    Family("failures", "mcppool_endpoint_failures_total", "Failed attempts there."),
    Family("ejections", "mcppool_endpoint_ejections_total", "Times it was ejected."),
)
"""Attributes of an endpoint that are counter families."""


@dataclass(frozen=True, slots=True)
class ProcessesView:
    """The processes of a local server's replica."""

    running: int
    starts: int
    unreadable: int
    """Lines of their output that were no messages."""
    first_unreadable: str
    last_end: str
    """The last end of a process, for people; empty if none has ended."""


@dataclass(frozen=True, slots=True)
class EventView:
    """An event at an endpoint, which occurred `count` times, the last time at `at`."""

    at: datetime
    endpoint: str
    reason: str
    """One word: the reason of a failed attempt, the endpoint's new state, or `ejected`."""
    detail: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class LossView:
    """Calls that no server answered, for one reason. `count` and `since` are of its present run, in which there was
    never a minute without one; `total` counts since start. The rest is about the last one."""

    reason: str
    since: datetime
    last: datetime
    count: int
    total: int
    name: str
    """A tool or method."""
    endpoint: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class LearnedView:
    """A conclusion of adaptive retry: about an attempt, or about waits of about one length."""

    name: str
    """A tool or method."""
    error_class: str
    attempt: int | None
    """The attempt's number, from 2; None if this is about a wait."""
    wait: float | None
    """Upper bound in seconds on the wait before an attempt; None if this is about an attempt."""
    rate: float
    """The share of outcomes in which it helped, 0 to 1."""
    trials: float
    """The number of outcomes behind the rate; older ones count less."""
    used: bool
    """Whether the pool makes such an attempt, or prefers such a wait."""


@dataclass(frozen=True, slots=True)
class CacheView:
    """One pool's cache. Its contents are None for a cache in Redis, which the gateway does not count; those of a
    database are as at the last look."""

    type: str
    entries: int | None = None
    bytes: int | None = None
    trouble: str | None = None
    """The reason why it does not work now."""
    hits: int = 0
    misses: int = 0
    coalesced: int = 0
    """Calls that got the answer of an equal call in flight."""
    stale: int = 0
    """Expired answers, given because no server could answer."""


@dataclass(frozen=True, slots=True)
class RedisView:
    """The Redis of a pool."""

    uses: tuple[str, ...]
    """The features that use it: `cache`, `sessions`, `rate_limit`."""
    trouble: str | None = None
    """The reason why it is not used now."""


@dataclass(frozen=True, slots=True)
class PoolView:
    """One pool and its endpoints."""

    name: str
    endpoints: tuple[EndpointView, ...] = ()
    waiting: int = 0
    """Calls that wait for a connection, or for a place under `limits`."""
    sessions: int = 0
    """Remembered sessions of clients."""
    catalog_tools: int = 0
    """Tools in the catalog."""
    cache: CacheView | None = None
    """Its cache, if it has one."""
    redis: RedisView | None = None
    """Its Redis, if it uses one."""
    breakers: Mapping[str, int] = field(default_factory=dict)
    """By tool, the worst state of its breakers: 0 closed, 1 half-open, 2 open. Missing tools are closed."""
    strategy: str = "least_connections"
    """The balancing strategy."""
    authentication: str = "none"
    """How clients authenticate; `none` accepts every client."""
    warnings: tuple[str, ...] = ()
    """Notes for the pool's operator, a sentence each."""
    panic: bool = False
    """So few endpoints are available that all reachable ones take calls."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Finished requests by result."""
    retries: Mapping[str, int] = field(default_factory=dict)
    """Attempts after the first, by the class of the preceding error."""
    hedges: int = 0
    """Safe calls that a second endpoint got, too."""
    events: tuple[EventView, ...] = ()
    """Recent faults and recoveries, newest first."""
    losses: tuple[LossView, ...] = ()
    """Calls that no server answered, by reason, the latest first."""
    rate: float = 0.0
    """Recent calls per second, those without an endpoint included."""
    calls: int = 0
    """Calls so far that were answered, or failed by a fault of a server or of the gateway."""
    failed_calls: int = 0
    budget_empty: int = 0
    """Failed calls so far that the retry budget did not let repeat."""
    last_failure: str = ""
    """The reason of the last failed call, for people."""
    changed_tools: tuple[str, ...] = ()
    """Tools whose definition is not the pinned one."""
    learned: tuple[LearnedView, ...] | None = None
    """The conclusions of adaptive retry; None if no tool uses it."""
    tool_differences: ToolDifferences = NO_DIFFERENCES
    """Tools that differ between the endpoints."""


POOL_GAUGES: Final = (
    Family("waiting", "mcppool_pool_waiting_requests", "Calls that wait for a connection or a place."),
    Family("sessions", "mcppool_pool_sessions", "Remembered sessions of clients."),
    Family("catalog_tools", "mcppool_pool_catalog_tools", "Tools in the catalog."),
)
"""Attributes of a pool that are gauge families."""


@dataclass(frozen=True, slots=True)
class RejectedConfig:
    """The newest configuration, if it was refused."""

    problems: tuple[str, ...]
    at: datetime
    hash: str | None = None
    """Its hash, if the configuration could be read that far."""


@dataclass(frozen=True, slots=True)
class ConfigView:
    """The configuration in force, all None before the first one."""

    hash: str | None = None
    generation: int | None = None
    term: int | None = None
    loaded_at: datetime | None = None
    rejected: RejectedConfig | None = None
    key_ids: tuple[str, ...] = ()
    """Names of the sealing keys in force; the first one seals."""


@dataclass(frozen=True, slots=True)
class SettingView:
    """A changed setting: its path, and its values in words; None where it is not set."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class ConfigChangeView:
    """A configuration that was put into force, or was refused for `problems`. `more` is the number of changed settings
    that are not named."""

    at: datetime
    hash: str | None
    generation: int | None
    settings: tuple[SettingView, ...] = ()
    more: int = 0
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """The health of one component, with a sentence that gives the reason."""

    status: Status
    message: str
    since: datetime | None = None
    """When it got this status; None if that is unknown."""
