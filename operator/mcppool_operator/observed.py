"""The state of a pool and its objects, from which the operator computes the status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mcppool_operator.condition import Condition
from mcppool_operator.resolve import Resolution
from mcppool_operator.tool_differences import ToolReport


@dataclass(frozen=True, slots=True)
class Sync:
    """The ready gateways' answers when they were last asked for their configuration."""

    ready: int = 0
    synced: int = 0
    rejected: tuple[str, ...] = ()  # pods that refused the expected configuration
    silent: tuple[str, ...] = ()  # ready pods that did not answer
    error: str | None = None  # why the gateways could not be found
    waiting: tuple[str, ...] = ()  # pods that do not start, with the cause
    nobody_answers: str | None = None  # the reason, if all ready gateways report that no server answers them
    servers_waiting: tuple[str, ...] = ()  # the same for managed servers
    stuck: bool = False  # one of them has waited for a minute
    failing: str | None = None  # the share of failed client calls, if it is too high
    sessions: int = 0  # sessions of clients at all gateways, coarsely
    tools: ToolReport | None = None  # tools that differ between replicas, or from their pins
    key_ids: frozenset[str] = frozenset()  # sealing keys that all ready gateways accept
    ending: bool = False  # a gateway terminates


@dataclass(frozen=True, slots=True)
class Observed:
    """All inputs of a pool's status."""

    generation: int
    previous: Mapping[str, Any] = field(default_factory=dict)
    operator: str = ""  # the installation that owns the pool
    invalid: str | None = None
    suspended: bool = False
    resolution: Resolution = field(default_factory=Resolution)
    published: Mapping[str, Any] | None = None  # configMapName, hash, generation, term
    published_endpoints: int = 0
    # Of children that a pool can serve without: ServiceMonitor, PodDisruptionBudget ….
    extras: Condition | None = None
    drift: str | None = None  # additions of other managers to the children, which the operator does not remove
    autoscaled: Condition | None = None
    failure: Condition | None = None  # of publishing: NameConflict, PublishFailed, TooManyEndpoints …
    sync: Sync | None = None
    deployment: Mapping[str, Any] | None = None
    url: str | None = None
    address: str | None = None  # for clients outside the cluster
    selector: str = ""
    sealing_keys: Mapping[str, Any] | None = None

    def but(self, **changes: Any) -> Observed:
        """Return a copy with some fields replaced."""
        return replace(self, **changes)
