"""`sessions` and `catalog`: state about a server between two calls."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mcppool.spec.model import NotMore, Rule, Section
from mcppool.spec.values import Duration, FileName, Flag, Integer, Size


class SessionsSpec(Section):
    """Sessions of clients that speak 2025-11-25 or older."""

    rules: ClassVar[tuple[Rule, ...]] = (NotMore("max_sessions_per_client", "max_sessions"),)

    on_loss: Literal["reinitialize", "fail"] = Field(
        "reinitialize",
        description="Fate of a session whose endpoint is lost: `reinitialize` opens a new one on "
        "another endpoint, `fail` answers 404.",
    )
    idle_timeout: Duration = Field(1800.0, description="Forget a session that has been unused for this time.")
    max_age: Duration = Field(
        7 * 86400.0,
        description="Age at which a session ends even if it is in use. Its id is invalid from then on.",
    )
    max_bytes: Size = Field(
        128 << 20, description="Maximum memory for sessions. The gateway opens a forgotten session again from its id."
    )
    max_sessions: Integer = Field(
        50_000, ge=1, le=10_000_000, description="Maximum number of sessions that one gateway remembers."
    )
    max_sessions_per_client: Integer | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Maximum number of sessions of one client that one gateway remembers: of its principal, or of its "
        "address in a pool that verifies no principals. Beyond it the gateway forgets the client's least recently used "
        "session. Default: none, but if the gateway has no room, a client with more than an eighth of all sessions or "
        "of `max_bytes` makes room first.",
    )
    store: Literal["memory", "redis"] = Field(
        "memory",
        description="Where the gateway records that a session has moved or has ended: in its own memory, or "
        "for all gateways in the Redis at cache.redis_url.",
    )
    stateless: Flag = Field(False, description="The server's sessions hold no state, so several clients may use one.")


class CatalogSpec(Section):
    """Lists of tools, prompts and resources, and whether every client sees the same ones."""

    uniform: Flag = Field(
        False, description="Every client sees the same lists, so the gateway may answer them from its catalog."
    )
    trusted: Flag = Field(False, description='Believe servers that mark a list as `cacheScope: "public"`.')
    pin: Literal["off", "warn", "deny"] = Field(
        "off",
        description="Reaction when the definition of a tool (name, title, description, schemas, annotations) is "
        "another one than in `lock_file`, or than the gateway has seen first: nothing, a warning, or the gateway "
        "withholds the tool.",
    )
    lock_file: FileName | None = Field(
        None,
        description="File with the expected definitions, from `mcppool pin URL`. The gateway reads it again when it "
        "changes. A tool that is not in it counts as changed.",
    )
