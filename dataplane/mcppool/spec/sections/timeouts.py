"""`timeouts`: time limits for the parts of a call, and for draining."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from mcppool.spec.model import NotMore, Rule, Section
from mcppool.spec.values import Duration, DurationOrZero, DurationRule


class TimeoutsSpec(Section):
    """How long the parts of a call may take, and how long an endpoint may drain."""

    rules: ClassVar[tuple[Rule, ...]] = (NotMore("first_byte", "request"),)

    request: Duration = Field(
        300.0,
        description="Time until the answer comes or its event stream begins, with all attempts and waits. "
        "Time in which the server waits for the user of the client does not count.",
    )
    first_byte: Annotated[float | None, DurationRule(word="none")] = Field(
        None, description="Time from sending a request to the first byte of its answer, for each attempt."
    )
    stream_idle: Duration = Field(
        300.0, description="The gateway ends a stream after the server has been silent for this time."
    )
    keep_alive: DurationOrZero = Field(
        15.0,
        description="The gateway sends a comment to the client when an event stream has been silent for "
        "this time. It opens the stream of a call that waits longer for its answer. 0s turns "
        "this off.",
    )
    drain: DurationOrZero = Field(
        30.0, description="How long work in flight may go on when the gateway stops or an endpoint is removed."
    )
