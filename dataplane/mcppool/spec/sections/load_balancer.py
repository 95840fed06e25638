"""`load_balancer`: the choice of the endpoint for the next call."""

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
    """How the gateway picks an endpoint for a call."""

    strategy: Strategy = Field("least_connections", description="How the gateway picks an endpoint.")
    failover_enabled: Flag = Field(True, description="Whether a retry may go to another endpoint.")
    slow_start: DurationOrZero = Field(
        30.0, description="Time in which a new or recovered endpoint grows to its full share."
    )
    panic_threshold_percent: Integer = Field(
        50,
        ge=0,
        le=100,
        description="When a smaller share of endpoints is available, the gateway ignores ejections. 0 turns this off.",
    )
    zone_preference: Literal["none", "prefer_local"] = Field(
        "none", description="Whether endpoints in the gateway's own zone come first."
    )
    hash_key: HashKey = Field(
        "principal", description="Input of `consistent_hash`: the client, the name of the tool, or a header."
    )
