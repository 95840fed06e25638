"""`connection_pool`: the connections that are kept to each endpoint."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from mcppool.spec.model import NotMore, Rule, Section
from mcppool.spec.values import Duration, DurationRule, Integer


class ConnectionPoolSpec(Section):
    """How many connections each endpoint has, how long they live, and who waits for one."""

    rules: ClassVar[tuple[Rule, ...]] = (
        NotMore("min_connections", "max_connections"),
        NotMore("reconnect_backoff", "max_reconnect_backoff"),
    )

    min_connections: Integer = Field(
        5, ge=0, le=10_000, description="Connections kept open to an endpoint that is in use."
    )
    max_connections: Integer = Field(
        50, ge=1, le=10_000, description="Most connections to one endpoint, streams apart."
    )
    max_idle_time: Duration = Field(600.0, description="A connection that was idle for so long is closed.")
    health_check_interval: Duration = Field(30.0, description="Time between two active checks of an endpoint.")
    reconnect_backoff: Duration = Field(
        1.0, description="First wait before a failed endpoint is tried again; doubles, with jitter."
    )
    max_reconnect_backoff: Duration = Field(30.0, description="Longest such wait.")
    connection_timeout: Duration = Field(10.0, description="Time to connect, TLS included.")
    max_connection_age: Duration = Field(3600.0, description="A connection this old is replaced, with jitter.")
    max_waiting: Integer = Field(
        256, ge=0, le=100_000, description="Calls that may wait for a connection of one endpoint."
    )
    acquire_timeout: Annotated[float | None, DurationRule(word="none")] = Field(
        None, description="Longest wait for a connection; none is as long as the call may take."
    )
