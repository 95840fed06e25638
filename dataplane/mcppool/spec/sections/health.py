"""`health_check` and `outlier_detection`: how a bad endpoint is found, by asking it and by watching its answers."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from mcppool.spec.model import NotMore, Rule, Section
from mcppool.spec.values import Duration, DurationOrZero, DurationRule, Integer


class HealthCheckSpec(Section):
    """Active checks, made every `connection_pool.health_check_interval`."""

    timeout: Duration = Field(2.0, description="A check without an answer by then has failed.")
    startup_timeout: Duration = Field(
        30.0,
        description="The same for first contact with a server, which may still be starting, and for each handshake.",
    )
    unhealthy_threshold: Integer = Field(
        3, ge=1, le=100, description="Failed checks in a row that take an endpoint out."
    )
    healthy_threshold: Integer = Field(2, ge=1, le=100, description="Good checks in a row that bring it back.")


class OutlierDetectionSpec(Section):
    """Ejection of endpoints whose answers to real calls are bad."""

    rules: ClassVar[tuple[Rule, ...]] = (NotMore("base_ejection_time", "max_ejection_time"),)

    consecutive_failures: Integer = Field(5, ge=1, le=1000, description="Failed calls in a row that eject an endpoint.")
    base_ejection_time: Duration = Field(30.0, description="First time out; grows with each ejection.")
    max_ejection_time: Duration = Field(300.0, description="Longest time out.")
    max_ejection_percent: Integer = Field(
        50, ge=0, le=100, description="Largest share of endpoints that may be out at once."
    )
    hung_after: DurationOrZero = Field(
        15.0,
        description="An endpoint that holds a call, accepts connections and answers nothing is busy for so long "
        "(at most half of timeouts.request), or for 1.5 times the longest silence that it came back from, and hung "
        "afterwards.",
    )
    suspect_after: Annotated[float | None, DurationRule(word="auto")] = Field(
        None,
        description="A call that waits longer for its first byte has its endpoint checked; "
        "auto is the larger of 1s and four times the endpoint's usual.",
    )
