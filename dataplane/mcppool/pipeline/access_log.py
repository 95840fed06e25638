"""The access log: the metrics, log lines and recent events of a finished call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Final, Protocol

from mcppool.observe.limited_log import LimitedLog
from mcppool.observe.logs import get_logger
from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.recent_events import RecentEvents
from mcppool.observe.tool_stats import ToolStats
from mcppool.observe.tracing.durations import BATCH
from mcppool.pipeline.audit import AuditTrail
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.plan import Plan
from mcppool.policy.call_record import CallRecord
from mcppool.upstream.failures import AttemptFailed
from mcppool.wire.era import MODERN
from mcppool.wire.errors import Reason

log: Final = get_logger("call")

NOWHERE = "-"
"""Stands for the endpoint in recent events of calls that found none."""

SERVERS_ERROR, INVALID_REQUEST = "json_rpc_error", "invalid_request"
"""Stand for a reason where a server answered with an error, and where the gateway did so as the protocol demands."""

MAX_ID_LENGTH, MAX_NAME_LENGTH, MAX_DETAIL_LENGTH = 200, 200, 500
"""Upper bounds on texts of clients and servers in a log line, in bytes and characters."""

_NO_FAULT = frozenset(
    {
        Reason.RATE_LIMITED, Reason.OVERLOADED, Reason.QUEUE_FULL, Reason.TOO_MANY_STREAMS, Reason.SHUTTING_DOWN,
        Reason.SESSION_LOST, Reason.REQUEST_REJECTED, Reason.UPSTREAM_AUTH,
    }
)  # fmt: skip
"""Reasons that do not count against the pool: a limit was reached, or the client's request, session or forwarded header
is at fault. If the gateway's own credentials are, the endpoints refuse its checks, and the pool is degraded."""


class CallCounter(Protocol):
    """Counts the duration of a finished call; see `pipeline.tracing`."""

    def finished(self, call: Call, tool: str | None, outcome: Outcome, now: float) -> None:
        """`now` is the end of the call, in monotonic seconds."""
        ...


@dataclass(slots=True)
class AccessLog:
    """Counts and logs the calls of a pool. `audit` is None if the pool has no audit log, `durations` if it has no
    `tracing`."""

    name: str
    metrics: PoolMetrics
    calls: CallRecord
    limited_log: LimitedLog
    recent: RecentEvents
    audit: AuditTrail | None = field(default=None, init=False)
    durations: CallCounter | None = field(default=None, init=False)

    def refused(self, call: Call, outcome: Outcome) -> None:
        """Count a call that was refused before it was planned."""
        request = call.request
        self.metrics.request(request.method or request.kind, outcome.status)
        if request.method == "tools/call":
            stats = self.metrics.tool(request.name or "")
            stats.rejected += 1
            stats.fail(str(Reason.ACCESS_DENIED if outcome.failure is None else outcome.failure.reason))
        if self.durations is not None:
            self.durations.finished(
                call, request.name if request.method == "tools/call" else None, outcome, monotonic()
            )
        if self.audit is not None:
            self.audit.call(call, outcome, monotonic() - call.received)

    def tell(self, event: str, fields: Mapping[str, object]) -> None:
        """Write something that is about no call to the audit log, if there is one."""
        if self.audit is not None:
            self.audit.event(event, fields)

    def finished(self, call: Call, plan: Plan, outcome: Outcome) -> None:
        """Count the call under the names of design §10.1; write one log line at level debug."""
        now = outcome.ended or monotonic()
        duration = now - call.received
        method = call.request.method or call.request.kind
        metrics = self.metrics
        metrics.request(method, outcome.status)
        if call.era is MODERN:
            metrics.modern += 1
        else:
            metrics.legacy += 1
        durations = self.durations
        failure = outcome.failure or outcome.cut
        if failure is not None:
            self._failed(call, plan, outcome, failure, now)
        elif outcome.status != "cancelled" and not outcome.neutral:
            self.calls.answered(now)
        if plan.tool is not None and outcome.status != "cancelled":
            stats = metrics.tool(plan.tool)
            stats.duration.observe(duration)
            if outcome.status == "success":
                stats.success += 1
                stats.size.observe(outcome.size)
                if (
                    durations is not None
                    and outcome.began == call.received  # as of calls without a task
                    and (
                        usual := stats.usual.get(
                            call.request.protocol_version if call.session is None else call.session.claims.version
                        )
                    )
                    is not None
                ):
                    # As `durations.finished`, without its frame and look-ups: this runs for each call.
                    usual.both.append(duration)
                    if len(usual.both) >= BATCH:
                        usual.count_waiting()
                    durations = None
            else:
                _count_other(stats, failure, outcome)
        if durations is not None:
            durations.finished(call, plan.tool, outcome, now)
        if self.audit is not None and (plan.tool is not None or _would_be_denied(outcome)):
            self.audit.call(call, outcome, duration)
        if log.debug_enabled:
            self._log_call(call, plan, outcome, duration)

    def _log_call(self, call: Call, plan: Plan, outcome: Outcome, duration: float) -> None:
        log.call(
            request_id=(call.request.id or b"").decode("utf-8", "replace"),
            pool=self.name,
            method=call.request.method or call.request.kind,
            tool=plan.tool,
            endpoint=outcome.endpoint.key if outcome.endpoint is not None else None,
            attempts=outcome.attempts,
            retry_class=plan.retry_class.name.lower(),
            status=outcome.status,
            duration=duration,
        )

    def _failed(self, call: Call, plan: Plan, outcome: Outcome, failure: AttemptFailed, now: float) -> None:
        """Report a call without a server's answer, or with an expired one instead."""
        endpoint = outcome.endpoint.key if outcome.endpoint is not None else None
        fields = {
            "id": outcome.id or None,
            "request_id": (call.request.id or b"")[:MAX_ID_LENGTH].decode("utf-8", "replace"),
            "reason": str(failure.reason),
            "error_class": str(failure.error_class),
            "delivered": outcome.delivered,
            "attempts": outcome.attempts,
            "endpoint": endpoint,
            "method": (call.request.method or "")[:MAX_NAME_LENGTH],
            "tool": plan.tool[:MAX_NAME_LENGTH] if plan.tool is not None else None,
            "detail": failure.detail[:MAX_DETAIL_LENGTH],
        }
        if outcome.fell_back:
            self.limited_log.event("stale_answer", **fields)
            self.calls.answered(now)
            return
        self.limited_log.warning("call_failed", **fields)
        name = (plan.tool or call.request.method or "")[:MAX_NAME_LENGTH]
        self.metrics.losses.add(str(failure.reason), datetime.now(UTC), name, endpoint, failure.detail)
        if failure.reason is Reason.UPSTREAM_AUTH:
            self.metrics.upstream_auth += 1
        if failure.reason not in _NO_FAULT:
            self.calls.failed(now, f"{failure.reason}: {failure.detail[:MAX_DETAIL_LENGTH]}")
        if not outcome.attempts:  # otherwise the endpoint's own events are there
            self.recent.add(NOWHERE, str(failure.reason), failure.detail, datetime.now(UTC))


def _reason(failure: AttemptFailed | None, outcome: Outcome) -> str:
    """The reason why a tool call failed or was refused."""
    if failure is not None:
        return str(failure.reason)
    return INVALID_REQUEST if outcome.status == "rejected" else SERVERS_ERROR


def _count_other(stats: ToolStats, failure: AttemptFailed | None, outcome: Outcome) -> None:
    """Count a call of a tool that was no success."""
    if outcome.status == "tool_error":
        stats.tool_error += 1
        stats.size.observe(outcome.size)
        return
    if outcome.status == "rejected":
        stats.rejected += 1
    else:
        stats.error += 1
    stats.fail(_reason(failure, outcome))


def _would_be_denied(outcome: Outcome) -> bool:
    return outcome.decision is not None and not outcome.decision.allowed
