"""`connection_pool`: the connections to each endpoint."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from mcppool.spec.model import NotMore, Rule, Section
from mcppool.spec.values import Duration, DurationRule, Integer


class ConnectionPoolSpec(Section):
    """How many connections each endpoint has, how long they live, and how calls wait for one."""

    rules: ClassVar[tuple[Rule, ...]] = (
        NotMore("min_connections", "max_connections"),
        NotMore("reconnect_backoff", "max_reconnect_backoff"),
    )

    min_connections: Integer = Field(
        5, ge=0, le=10_000, description="Connections that stay open to an endpoint in use."
    )
    max_connections: Integer = Field(
        50,
        ge=1,
        le=10_000,
        description="Maximum number of connections to one endpoint; long-lived streams do not count.",
    )
    max_idle_time: Duration = Field(600.0, description="Close a connection that has been idle for this time.")
    health_check_interval: Duration = Field(30.0, description="Time between two active checks of an endpoint.")
    reconnect_backoff: Duration = Field(
        1.0,
        description="First wait before the gateway tries a failed endpoint again. The wait doubles each "
        "time, with jitter.",
    )
    max_reconnect_backoff: Duration = Field(30.0, description="Upper bound of that wait.")
    connection_timeout: Duration = Field(10.0, description="Time to open a connection, TLS included.")
    max_connection_age: Duration = Field(3600.0, description="Replace a connection of this age, with jitter.")
    max_waiting: Integer = Field(
        256, ge=0, le=100_000, description="Maximum number of calls that wait for a connection to one endpoint."
    )
    acquire_timeout: Annotated[float | None, DurationRule(word="none")] = Field(
        None, description="How long a call waits for a connection. `none`: as long as the call may take."
    )
