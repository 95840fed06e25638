"""`timeouts`: how long things may take."""

from __future__ import annotations

from pydantic import Field

from mcppool.spec.model import Section
from mcppool.spec.values import Duration, DurationOrZero


class TimeoutsSpec(Section):
    """The bounds in time of one call, and of an endpoint's leave."""

    request: Duration = Field(60.0, description="Whole call, all attempts and waits included.")
    first_byte: Duration = Field(30.0, description="From a request sent to the first byte of its answer, per attempt.")
    stream_idle: Duration = Field(300.0, description="Silence after which a stream is ended.")
    drain: DurationOrZero = Field(30.0, description="What is in flight may finish for so long at a stop or a removal.")
