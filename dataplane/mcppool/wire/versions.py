"""The known protocol revisions, and the reserved ``_meta`` keys of the modern era.

Versions are an enumerated set and not an ordered scalar: they are compared by membership, never by sorting.
"""

from __future__ import annotations

from typing import Final

LEGACY_VERSIONS: Final = frozenset({"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"})
"""Revisions that open with ``initialize``. 2024-11-05 is negotiable over Streamable HTTP; its own transport is not
served."""

RESUMABLE_VERSIONS: Final = frozenset({"2025-11-25"})
"""Revisions whose clients resume an unfinished answer with ``Last-Event-ID``."""

MODERN_VERSIONS: Final = ("2026-07-28",)
"""Supported stateless revisions, oldest first."""

LATEST_LEGACY: Final = "2025-11-25"
"""The newest handshake revision, which the prober offers to a legacy server."""

LATEST_MODERN: Final = MODERN_VERSIONS[-1]
"""The newest stateless revision, which the prober uses."""

ASSUMED_LEGACY: Final = "2025-03-26"
"""The assumed revision of a session's request without ``MCP-Protocol-Version`` (2025-06-18, transports)."""

META_PROTOCOL_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
META_CLIENT_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
META_CLIENT_INFO: Final = "io.modelcontextprotocol/clientInfo"
META_LOG_LEVEL: Final = "io.modelcontextprotocol/logLevel"
META_SUBSCRIPTION_ID: Final = "io.modelcontextprotocol/subscriptionId"
META_PROGRESS_TOKEN: Final = "progressToken"  # noqa: S105
META_RELATED_TASK: Final = "io.modelcontextprotocol/related-task"
"""The task of a message (2025-11-25)."""
