"""What the rest of the gateway tells about itself when somebody looks: values taken at one moment, free of its
types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Status = Literal["healthy", "degraded", "unhealthy"]
"""`degraded` works, and somebody should look; `unhealthy` does not do its work."""


@dataclass(frozen=True, slots=True)
class EndpointView:
    """One endpoint of a pool. Totals count since the endpoint came."""

    url: str
    available: bool
    """May be picked for a call."""
    reason: str | None = None
    """Why it is not available, for people."""
    draining: bool = False
    weight: int = 100
    active_requests: int = 0
    latency: float | None = None
    """Moving average of the time to an answer, in seconds; None before the first one."""
    connections: Mapping[str, int] = field(default_factory=dict)
    """How many connections are in each state now."""
    requests: int = 0
    failures: int = 0
    ejections: int = 0
    health_checks: int = 0
    health_check_failures: int = 0


@dataclass(frozen=True, slots=True)
class CacheView:
    """One pool's cache. What Redis holds is not known here: None."""

    type: str
    entries: int | None = None
    bytes: int | None = None
    trouble: str | None = None
    """Why it does not work now."""


@dataclass(frozen=True, slots=True)
class PoolView:
    """One pool and its endpoints."""

    name: str
    endpoints: tuple[EndpointView, ...] = ()
    waiting: int = 0
    """Calls that wait for a connection."""
    sessions: int = 0
    """Sessions of clients that are remembered."""
    catalog_tools: int = 0
    """Tools in the catalog."""
    cache: CacheView | None = None
    """Its cache, if it has one."""
    breakers: Mapping[str, int] = field(default_factory=dict)
    """By tool, the worst state of its breakers: 0 closed, 1 half-open, 2 open. One that is not here is closed."""


@dataclass(frozen=True, slots=True)
class RejectedConfig:
    """The newest configuration, where it was refused."""

    problems: tuple[str, ...]
    at: datetime
    hash: str | None = None
    """What it calls itself, where it could be read that far."""


@dataclass(frozen=True, slots=True)
class ConfigView:
    """The configuration in force, all None before the first one."""

    hash: str | None = None
    generation: int | None = None
    term: int | None = None
    loaded_at: datetime | None = None
    rejected: RejectedConfig | None = None


@dataclass(frozen=True, slots=True)
class ComponentHealth:
    """How one component is, with a sentence that says why."""

    status: Status
    message: str
