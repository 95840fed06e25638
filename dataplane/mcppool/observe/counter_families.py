"""The counters that are metric families of their own, one attribute each."""

from __future__ import annotations

from typing import Final, NamedTuple


class Family(NamedTuple):
    """A metric family with one sample for each object: the value of its `attribute`, if that is not None."""

    attribute: str
    name: str
    text: str


POOL_COUNTERS: Final = (
    Family("hedges", "mcppool_hedges_total", "Safe calls that also went to a second endpoint."),
    Family("tool_changes", "mcppool_tool_changes_total", "Tools whose definition became another than the pinned one."),
    Family(
        "upstream_auth",
        "mcppool_upstream_auth_failures_total",
        "Calls that failed because of the gateway's own credentials (reason upstream_auth).",
    ),
    Family("audit_lines", "mcppool_audit_lines_total", "Lines of the audit log."),
    Family("audit_dropped", "mcppool_audit_dropped_total", "Lines of the audit log that found no room in its buffer."),
    Family("spans", "mcppool_spans_total", "Spans of sampled calls and their attempts."),
    Family("spans_dropped", "mcppool_spans_dropped_total", "Spans that found no room in the queue for the collector."),
)
"""Attributes of `PoolMetrics` that are families of their own. A new counter is a line here, the attribute, and the
place that counts."""

GATEWAY_COUNTERS: Final = (
    Family("listener_opened", "mcppool_listener_accepted_total", "Accepted connections of clients."),
    Family("listener_bytes_received", "mcppool_listener_received_bytes_total", "Bytes from clients."),
    Family("listener_bytes_sent", "mcppool_listener_sent_bytes_total", "Bytes to clients."),
    Family("config_loads", "mcppool_config_loads_total", "Configurations put into force."),
    Family("config_rejected", "mcppool_config_rejected_total", "Configurations refused."),
)
"""The same of `GatewayMetrics`."""
