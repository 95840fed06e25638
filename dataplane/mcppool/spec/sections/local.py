"""`local`: the processes of a server that is a program on this machine."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from mcppool.spec.model import Section
from mcppool.spec.values import Duration, Flag, Hint, Integer, Secret, SnapshotOnly

EnvironmentName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256),
    Hint("a name of letters, digits and `_`"),
]
EnvironmentPattern = Annotated[
    str,
    StringConstraints(pattern=r"^([A-Za-z_][A-Za-z0-9_]*[*]?|[*])$", max_length=256),
    Hint("a name of letters, digits and `_`, the beginning of names with a `*`, or `*` for all"),
]
EnvironmentValue = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00]*$", max_length=65536),
    Secret(),
    Hint("a string without NUL"),
]


class LocalSpec(Section):
    """The processes of a local server."""

    idle_timeout: Duration = Field(
        60.0,
        description="How long the process of a session stays after its client has gone (no connection, no "
        "stream, no call). The session ends with it.",
    )
    max_processes: Integer = Field(
        64, ge=1, le=10_000, description="Maximum number of processes of the pool, over all replicas."
    )
    behind_gateways: Annotated[Flag, SnapshotOnly()] = Field(
        False,
        description="Its clients are gateways, which keep connections open: only use shows that a session is alive.",
    )
    max_processes_per_client: Integer = Field(
        32,
        ge=1,
        le=10_000,
        description="Maximum number of processes for the sessions of one client: its principal, or its "
        "address in a pool that verifies no principals.",
    )
