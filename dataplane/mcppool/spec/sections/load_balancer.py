"""`load_balancer`: which endpoint gets the next call."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mcppool.spec.model import Section
from mcppool.spec.values import DurationOrZero, Flag, Hint, Integer

Strategy = Literal[
    "round_robin",
    "least_connections",
    "weighted_round_robin",
    "health_based",
    "response_time_based",
    "random",
    "consistent_hash",
]
HashKey = Annotated[
    str,
    StringConstraints(pattern=r"^(principal|tool|header:[A-Za-z0-9-]{1,128})$", max_length=140),
    Hint("principal, tool, header:NAME"),
]


class LoadBalancerSpec(Section):
    """The choice among a pool's endpoints."""

    strategy: Strategy = Field("least_connections", description="How an endpoint is picked.")
    failover_enabled: Flag = Field(True, description="Whether a retry may go to another endpoint.")
    slow_start: DurationOrZero = Field(
        30.0, description="A new or recovered endpoint gets its full share after this time."
    )
    panic_threshold_percent: Integer = Field(
        50,
        ge=0,
        le=100,
        description="When a smaller share of endpoints is available, ejection is ignored; 0 turns this off.",
    )
    zone_preference: Literal["none", "prefer_local"] = Field(
        "none", description="Whether endpoints of the own zone come first."
    )
    hash_key: HashKey = Field("principal", description="What consistent_hash hashes: principal, tool or header:NAME.")
