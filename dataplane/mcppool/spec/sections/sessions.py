"""`sessions` and `catalog`: what is known of a server between two calls."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mcppool.spec.model import Section
from mcppool.spec.values import Duration, Flag, Integer, Size


class SessionsSpec(Section):
    """Sessions of clients that speak 2025-11-25 or older."""

    on_loss: Literal["reinitialize", "fail"] = Field(
        "reinitialize", description="What happens when a session's endpoint is gone: a fresh session elsewhere, or 404."
    )
    idle_timeout: Duration = Field(1800.0, description="A session unused for so long is forgotten.")
    max_age: Duration = Field(
        7 * 86400.0,
        description="Age at which a session is over although it is in use. Its id opens nothing from then on.",
    )
    max_bytes: Size = Field(
        128 << 20, description="Most memory for sessions. Those that are forgotten are opened again from their ids."
    )
    max_sessions: Integer = Field(50_000, ge=1, le=10_000_000, description="Most sessions that one gateway remembers.")
    store: Literal["memory", "redis"] = Field(
        "memory",
        description="Where it is noted that a session has moved or was ended: here, or for all gateways at "
        "cache.redis_url.",
    )
    stateless: Flag = Field(False, description="The server's sessions hold no state, so that one may be used again.")


class CatalogSpec(Section):
    """What the endpoints offer (tools, prompts, resources), and whether it is the same for every client."""

    uniform: Flag = Field(
        False, description="Every client sees the same lists, so they may be answered from the catalog."
    )
    trusted: Flag = Field(False, description='Believe the servers when they mark a list as `cacheScope: "public"`.')
