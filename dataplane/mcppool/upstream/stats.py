"""The counters of one endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field

from mcppool.upstream.failures import AttemptFailed


@dataclass(slots=True)
class EndpointStats:
    """Counters of one endpoint since it was added."""

    requests: int = 0
    failures: int = 0
    checks: int = 0
    failed_checks: int = 0
    answered: bool = False
    """Whether it has ever passed a check."""
    speaks_mcp: bool = False
    """Whether it answered the last failed check as a server of MCP that opens no session."""
    answered_at: float = float("-inf")
    """When it last answered a call (monotonic seconds)."""
    ejections: int = 0
    last_fault: str = ""
    faults: dict[str, int] = field(default_factory=dict)

    def failed(self, failure: AttemptFailed) -> None:
        """Count a failed attempt by its reason."""
        self.failures += 1
        self.last_fault = failure.detail
        reason = str(failure.reason)
        self.faults[reason] = self.faults.get(reason, 0) + 1
