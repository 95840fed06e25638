"""The counters of a call: plain slotted objects, read only at a scrape.

A labelled `inc()` of a metrics library costs microseconds, so a caller looks its object up once (`PoolMetrics.tool`)
and adds to attributes. Everything here belongs to one event loop and is written without a lock. `collector` turns it
into Prometheus families.

Every label value is bounded: a method that MCP does not define and a tool that the catalog does not list count as
`other`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from mcppool.observe.cache_counters import CacheCounters
from mcppool.observe.histogram import Histogram
from mcppool.observe.labels import CONNECTION_STATUSES, KNOWN_METHODS, OTHER, TOOLS_CAP
from mcppool.observe.losses import Losses
from mcppool.observe.tool_stats import DURATION_BOUNDS, ToolStats
from mcppool.observe.tracing.durations import PoolDurations


class PoolMetrics:
    """The counters of one pool.

    `connections` counts the states that connections entered (`CONNECTION_STATUSES`); `connection_duration` is the time
    to establish a connection, in seconds; `retries` counts attempts after the first by the class of the preceding
    error; `caches` has counters by type of cache; `redis_errors` and `sql_errors` count failures at Redis and at the
    database of the cache by kind (`timeout`, `connection`, `other`); `access_denied` counts refused requests by rule
    and mode; `breaker_transitions` counts by tool, state before and state after; `modern` and `legacy` count requests
    by the era of the client; `in_flight` is the number of attempts now, and `peak_in_flight` the largest since the last
    `take_peak`; `losses` are the calls that got no answer of a server; `durations` are those by
    OpenTelemetry's conventions, None without `tracing`. All of them outlive the endpoints.
    """

    __slots__ = (
        "_known_tools",
        "_tools",
        "_tools_cap",
        "access_denied",
        "audit_dropped",
        "audit_lines",
        "auth_failures",
        "breaker_transitions",
        "caches",
        "connection_duration",
        "connections",
        "durations",
        "hedges",
        "in_flight",
        "legacy",
        "losses",
        "modern",
        "name",
        "peak_in_flight",
        "redis_errors",
        "requests",
        "retries",
        "spans",
        "spans_dropped",
        "sql_errors",
        "tool_changes",
        "upstream_auth",
    )

    def __init__(self, name: str, tools_cap: int = TOOLS_CAP) -> None:
        self.name = name
        self.connections = dict.fromkeys(CONNECTION_STATUSES, 0)
        self.connection_duration = Histogram(DURATION_BOUNDS)
        self.requests: dict[tuple[str, str], int] = {}
        self.auth_failures: Counter[str] = Counter()  # by kind, from a fixed set
        self.retries: dict[str, int] = {}
        self.hedges = 0
        self.modern = 0
        self.legacy = 0
        self.in_flight = 0
        self.peak_in_flight = 0
        self.losses = Losses()
        self.upstream_auth = 0
        self.access_denied: dict[tuple[str, str], int] = {}
        self.audit_lines = 0
        self.audit_dropped = 0
        self.spans = 0
        self.spans_dropped = 0
        self.durations: PoolDurations | None = None
        self.tool_changes = 0
        self.caches: dict[str, CacheCounters] = {}
        self.redis_errors: dict[str, int] = {}
        self.sql_errors: dict[str, int] = {}
        self.breaker_transitions: dict[tuple[str, str, str], int] = {}
        self._tools: dict[str, ToolStats] = {}
        self._tools_cap = tools_cap
        self._known_tools: frozenset[str] = frozenset()

    def take_peak(self) -> int:
        """The largest number of attempts at once since the last time."""
        peak, self.peak_in_flight = self.peak_in_flight, self.in_flight
        return peak

    @property
    def known_tools(self) -> frozenset[str]:
        """Names in the catalog; only these get series of their own."""
        return self._known_tools

    @known_tools.setter
    def known_tools(self, names: Collection[str]) -> None:
        self._known_tools = frozenset(names)

    def tool(self, name: str) -> ToolStats:
        """Counters of this tool, or those of `other` if the name is not in the catalog or the cap is reached."""
        stats = self._tools.get(name)
        return stats if stats is not None else self._admit(name)

    def cache(self, type: str) -> CacheCounters:
        """Counters of this kind of cache."""
        return self.caches.setdefault(type, CacheCounters())

    def cache_label(self, tool: str) -> str:
        """The label of a tool whose results are cached: its own only if it has series of its own."""
        return tool if self.tool(tool) is not self._tools.get(OTHER) else OTHER

    def request(self, method: str, outcome: str) -> None:
        """Count one finished request; `outcome` must come from a small fixed set of the caller's."""
        key = (method if method in KNOWN_METHODS else OTHER, outcome)
        requests = self.requests
        requests[key] = requests.get(key, 0) + 1

    def deny(self, rule: str, mode: str) -> None:
        """Count a request that an access rule refuses, or would refuse in mode `shadow`; `rule` is a rule's name."""
        key = (rule, mode)
        self.access_denied[key] = self.access_denied.get(key, 0) + 1

    def retry(self, error_class: str, tool: str | None = None) -> None:
        """Count one attempt after the first, by the class of the error that caused it (`ErrorClass`), and for the tool
        if it is a tool call's."""
        self.retries[error_class] = self.retries.get(error_class, 0) + 1
        if tool is not None:
            self.tool(tool).retries += 1

    def breaker_transition(self, tool: str, before: str, after: str) -> None:
        """Count one change of state of a tool's circuit breaker; states are `closed`, `half_open`, `open`."""
        key = (tool, before, after)
        self.breaker_transitions[key] = self.breaker_transitions.get(key, 0) + 1

    def tools(self) -> Iterator[tuple[str, ToolStats]]:
        """Every tool that has counters."""
        return iter(self._tools.items())

    def _admit(self, name: str) -> ToolStats:
        if name not in self._known_tools or not self._has_room():
            name = OTHER
        stats = self._tools.get(name)
        if stats is None:
            stats = self._tools[name] = ToolStats()
        return stats

    def _has_room(self) -> bool:
        if len(self._tools) < self._tools_cap:
            return True
        # A tool that left the catalog keeps its counters until another tool needs the room, because its server may only
        # be away.
        for gone in [name for name in self._tools if name != OTHER and name not in self._known_tools]:
            del self._tools[gone]
        for key in [key for key in self.breaker_transitions if key[0] not in self._known_tools]:
            del self.breaker_transitions[key]
        return len(self._tools) < self._tools_cap


class GatewayMetrics:
    """All counters of one gateway process.

    `malformed` counts input that the listener refused to read as a request, by reason; `listener_*` are totals since
    start. `former_caches` has, by type, the sums of removed pools. `config_loads` and `config_rejected` count snapshots
    put into force and refused.
    """

    __slots__ = (
        "_pools",
        "config_loads",
        "config_rejected",
        "former_caches",
        "listener_bytes_received",
        "listener_bytes_sent",
        "listener_closed",
        "listener_opened",
        "malformed",
        "turned_away",
    )

    def __init__(self) -> None:
        self._pools: dict[str, PoolMetrics] = {}
        self.former_caches: dict[str, CacheCounters] = {}
        self.malformed: dict[str, int] = {}
        self.listener_opened = 0
        self.listener_closed = 0
        self.turned_away: dict[str, int] = {}
        self.listener_bytes_received = 0
        self.listener_bytes_sent = 0
        self.config_loads = 0
        self.config_rejected = 0

    def pool(self, name: str) -> PoolMetrics:
        """Counters of this pool, made on first use."""
        pool = self._pools.get(name)
        if pool is None:
            pool = self._pools[name] = PoolMetrics(name)
        return pool

    def drop(self, name: str) -> None:
        """End the series of a removed pool; those of caches have no pool label, and go on."""
        gone = self._pools.pop(name, None)
        for type, counters in gone.caches.items() if gone is not None else ():
            self.former_caches.setdefault(type, CacheCounters()).add(counters)

    def pools(self) -> Iterator[PoolMetrics]:
        """Every pool that has counters."""
        return iter(self._pools.values())

    def turn_away(self, cap: str) -> None:
        """Count one connection, stream or call that a cap of the listener or the memory budget refused or ended; `cap`
        must come from a fixed set."""
        self.turned_away[cap] = self.turned_away.get(cap, 0) + 1

    def refuse(self, reason: str) -> None:
        """Count one input that was not a request; `reason` must come from a fixed set."""
        self.malformed[reason] = self.malformed.get(reason, 0) + 1
