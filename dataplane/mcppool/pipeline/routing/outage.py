"""The reason why no endpoint takes a call: for the client without addresses, and for the log with addresses."""

from __future__ import annotations

from collections import Counter
from math import inf
from time import monotonic

from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.settings import Settings
from mcppool.policy.wait_for_endpoint import STARTING_HOLD
from mcppool.spec.plural import counted
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import NoEndpoint

FRESH = 0.1  # seconds that one result answers all calls
MAX_NAMED = 3  # endpoints whose cause is listed; more would repeat it

_WORDS = {
    "starting": "starting",
    "not_startable": "a program that does not start",
    "unreachable": "unreachable",
    "busy": "busy with its calls",
    "hung": "hung: it accepts connections and does not answer",
    "no_mcp": "answering, but not as an MCP server: check the path of its URL",
    "refuses_sessions": "answering, but opening no session",
    "refuses_checks": "refusing checks: set credentials in auth.outbound or headers.send",
    "unhealthy": "failing its checks",
    "ejected": "ejected after failed calls",
    "draining": "draining",
    "available": "available, but not for this call",
}

_LASTING = frozenset({"not_startable", "no_mcp", "refuses_sessions"})


class Outage:
    """The reason why a pool has no endpoint for a call, and whether one may come soon."""

    def __init__(self, settings: Settings, endpoints: Endpoints) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._since = monotonic()
        self._found = (-inf, "", "")  # time, text for the log, text for the client

    @property
    def starting(self) -> float:
        """Seconds that a call is held because the servers may still be starting; 0 if they are not.

        They may be starting while none has ever answered, or if one accepts connections and has not answered yet. The
        gateway starts local programs itself, again after they have ended, and their start may take long: a call waits
        for one until its deadline, or until it is known that none of them starts.
        """
        spec, endpoints = self._settings.spec, self._endpoints
        if not spec.command and any(e.health.contacted for e in endpoints.values()):
            return spec.health_check.startup_timeout
        unknown = [endpoint for key, endpoint in endpoints.items() if key not in endpoints.not_started]
        if spec.command:
            return inf if any(e.lost is not None or not e.stats.answered for e in unknown) else 0.0
        if not unknown or any(e.stats.answered for e in endpoints.values()):
            return 0.0
        return STARTING_HOLD if monotonic() < self._since + spec.health_check.startup_timeout else 0.0

    @property
    def stands_still(self) -> bool:
        """Whether an endpoint accepts connections and is silent, so that it may go on at any moment."""
        return any(e.health.silences.since is not None for e in self._endpoints.values())

    @property
    def needs_mending(self) -> bool:
        """Whether no server can answer without a change of configuration or servers, so that waiting does not help."""
        return bool(self._endpoints) and all(self._trouble(e) in _LASTING for e in self._endpoints.values())

    def describe(self) -> str:
        """For the log and the page: the unavailable endpoints, with addresses and causes."""
        out = [e for e in self._endpoints.values() if not e.available or not e.stats.answered]
        if not self._endpoints:
            return "no server is configured, or the pool's source finds none"
        more = f"; and {len(out) - MAX_NAMED} more" if len(out) > MAX_NAMED else ""
        return "; ".join(self._named(endpoint) for endpoint in out[:MAX_NAMED]) + more

    def failure(self) -> NoEndpoint:
        """The failure of a call that finds no endpoint now. In a flood of calls, not every call looks at all
        endpoints."""
        now = monotonic()
        found_at, detail, note = self._found
        if now - found_at >= FRESH:
            detail, note = self.describe(), "the pool has no servers"
            if self._endpoints:
                counts = Counter(self._trouble(endpoint) for endpoint in self._endpoints.values())
                kinds = "; ".join(f"{count} {_WORDS[kind]}" for kind, count in counts.most_common())
                note = f"of {counted(len(self._endpoints), 'server')}: {kinds}"
            self._found = now, detail, note
        return NoEndpoint(detail, note=note)

    def _trouble(self, endpoint: Endpoint) -> str:
        """The trouble of an endpoint, as a key of `_WORDS`."""
        state = endpoint.state
        never = not endpoint.stats.answered
        if endpoint.key in self._endpoints.not_started:
            return "not_startable"
        if never and self._settings.spec.command and state in ("unreachable", "joining"):
            return "starting"
        if state == "joining":
            return "starting"
        if endpoint.health.refuses_checks is not None and state in ("unhealthy", "available"):
            return "refuses_checks"
        if never and state in ("unhealthy", "available") and endpoint.stats.failed_checks:
            return "refuses_sessions" if endpoint.stats.speaks_mcp else "no_mcp"
        return state if state in _WORDS else "unhealthy"

    def _named(self, endpoint: Endpoint) -> str:
        why = self._endpoints.not_started.get(endpoint.key) or endpoint.stats.last_fault
        return f"{endpoint.key} is {_WORDS[self._trouble(endpoint)]}" + (f" ({why})" if why else "")
