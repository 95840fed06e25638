"""The values of labels, all from bounded sets."""

from __future__ import annotations

from typing import Final

OTHER: Final = "other"
"""The label value of all unknown names."""

TOOLS_CAP: Final = 400
"""Upper bound on the tools of one pool with their own series, some thirty each; the scrape pays for them."""

KNOWN_METHODS: Final = frozenset(
    {
        "completion/complete",
        "initialize",
        "logging/setLevel",
        "notifications/cancelled",
        "notifications/initialized",
        "notifications/progress",
        "notifications/roots/list_changed",
        "ping",
        "prompts/get",
        "prompts/list",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/templates/list",
        "resources/unsubscribe",
        "server/discover",
        "subscriptions/listen",
        "tasks/cancel",
        "tasks/get",
        "tasks/list",
        "tasks/result",
        "tasks/update",
        "tools/call",
        "tools/list",
    }
)
"""Values of the `method` label besides `other`."""

CONNECTION_STATUSES: Final = ("connecting", "connected", "reconnecting", "error", "closed")
"""Values of the `status` label of `mcp_connections_total`: the state that a connection entered."""

EXECUTION_STATUSES: Final = ("success", "tool_error", "error", "rejected")
"""Values of the `status` label of `mcp_tool_executions_total`, and the names of the counters of `ToolStats`."""
