"""`cache`: answers that are kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mcppool.spec.model import Section
from mcppool.spec.values import Duration, Flag, Integer, Size


class CacheSpec(Section):
    """Where answers are kept, how many, and for how long."""

    type: Literal["none", "memory", "redis"] = Field("memory", description="Where answers are kept.")
    max_size: Integer = Field(10_000, ge=1, le=10_000_000, description="Most entries.")
    max_bytes: Size = Field(64 << 20, description="Most memory for entries.")
    ttl: Duration = Field(
        3600.0,
        description="Caps what servers allow, and is what a tool gets that asks for caching without saying a time.",
    )
    honor_hints: Flag = Field(True, description="Follow the servers' ttlMs and cacheScope.")
