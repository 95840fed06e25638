"""`timeouts`: how long things may take."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from mcppool.spec.model import NotMore, Rule, Section
from mcppool.spec.values import Duration, DurationOrZero, DurationRule


class TimeoutsSpec(Section):
    """The bounds in time of one call, and of an endpoint's leave."""

    rules: ClassVar[tuple[Rule, ...]] = (NotMore("first_byte", "request"),)

    request: Duration = Field(
        300.0,
        description="Until the answer has come or its event stream has begun, all attempts and waits included. Time in "
        "which the client is asked something does not count.",
    )
    first_byte: Annotated[float | None, DurationRule(word="none")] = Field(
        None, description="From a request sent to the first byte of its answer, per attempt."
    )
    stream_idle: Duration = Field(300.0, description="Silence of a server after which its stream is ended.")
    keep_alive: DurationOrZero = Field(
        15.0,
        description="Silence on an open event stream after which a client gets a comment; a call that waits longer for "
        "its answer gets its stream opened. 0s: never.",
    )
    drain: DurationOrZero = Field(30.0, description="What is in flight may finish for so long at a stop or a removal.")
