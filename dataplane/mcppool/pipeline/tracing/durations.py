"""The durations of calls and attempts, by OpenTelemetry's conventions. Every call counts, sampled or not."""

from __future__ import annotations

from mcppool.observe.labels import KNOWN_METHODS
from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.tracing.durations import (
    MAX_SERIES,
    BatchedHistogram,
    OperationKey,
    PoolDurations,
    UsualDurations,
    usual_durations,
)
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.tracing.conventions import LISTEN, OTHER, client_error, failed_error, server_error, version_of
from mcppool.upstream.failures import AttemptFailed

Labels = tuple[str | None, str | None, str | None]
"""Method, tool and version of a call, as it has them."""


class CallDurations:
    """Counts the durations of one pool. An answered attempt counts with its call, a failed one by itself."""

    __slots__ = ("_durations", "_metrics", "_usual")

    def __init__(self, metrics: PoolMetrics, durations: PoolDurations) -> None:
        self._metrics = metrics
        self._durations = durations
        self._usual: dict[Labels, UsualDurations] = {}

    def finished(self, call: Call, tool: str | None, outcome: Outcome, now: float) -> None:
        """Count a call that ended at `now`, in monotonic seconds, and its answered attempt."""
        request, session = call.request, call.session
        labels = (request.method, tool, request.protocol_version if session is None else session.claims.version)
        if outcome.status == "success":
            usual = self._usual.get(labels)
            if usual is not None:
                usual.observe(now - call.received, now - outcome.began if outcome.began else None)
                return
        if request.method is not None and request.method != LISTEN:
            self._count(call, labels, outcome, now)

    def failed(self, call: Call, tool: str | None, failure: AttemptFailed, seconds: float) -> None:
        """Count an attempt without an answer."""
        method = call.request.method
        if method is not None and method != LISTEN:
            key = self._key((method, tool, version_of(call)), failed_error(failure), None)
            self._durations.client_operations.of(key).observe(seconds)

    def _count(self, call: Call, labels: Labels, outcome: Outcome, now: float) -> None:
        code = None if outcome.status in ("success", "tool_error") else outcome.code
        of_clients = self._durations.server_operations.of(self._key(labels, server_error(outcome), code))
        of_clients.observe(now - call.received)
        of_servers: BatchedHistogram | None = None
        if outcome.began or outcome.status == "success":
            of_servers = self._durations.client_operations.of(self._key(labels, client_error(outcome), code))
            if outcome.began:
                of_servers.observe(now - outcome.began)
        if of_servers is not None and outcome.status == "success":
            self._remember(labels, of_clients, of_servers)

    def _remember(self, labels: Labels, of_clients: BatchedHistogram, of_servers: BatchedHistogram) -> None:
        """Note where later successes with these labels count."""
        method, tool, version = labels
        known = method in KNOWN_METHODS and (tool is None or tool in self._metrics.known_tools)
        if not known or len(self._usual) >= MAX_SERIES:
            return
        self._usual[labels] = usual = usual_durations(of_clients, of_servers)
        if tool is not None and self._metrics.cache_label(tool) == tool:
            self._metrics.tool(tool).usual[version] = usual

    def _key(self, labels: Labels, error: str, code: int | None) -> OperationKey:
        method, tool, version = labels
        if tool and tool not in self._metrics.known_tools:
            tool = OTHER
        shown = method if method in KNOWN_METHODS else OTHER
        return OperationKey(shown or OTHER, tool or "", error, "" if code is None else str(code), version or "")
