"""`health_check` and `outlier_detection`: finding bad endpoints by active checks and by their answers."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from mcppool.spec.model import NotMore, Rule, Section
from mcppool.spec.values import Duration, DurationOrZero, DurationRule, Integer


class HealthCheckSpec(Section):
    """Active checks, made every `connection_pool.health_check_interval`."""

    timeout: Duration = Field(
        2.0,
        description="A check fails if no answer comes within this time. If a server's last checks took longer, the "
        "next one may take twice as long as they did, at most startup_timeout.",
    )
    startup_timeout: Duration = Field(
        30.0,
        description="Time for the first contact with a server, which may still be starting, and for each handshake. "
        "Also for a server that refused connections and accepts them again.",
    )
    unhealthy_threshold: Integer = Field(
        3, ge=1, le=100, description="Consecutive failed checks that take an endpoint out."
    )
    healthy_threshold: Integer = Field(2, ge=1, le=100, description="Consecutive passed checks that bring it back.")


class OutlierDetectionSpec(Section):
    """Ejection of endpoints that answer real calls badly."""

    rules: ClassVar[tuple[Rule, ...]] = (NotMore("base_ejection_time", "max_ejection_time"),)

    consecutive_failures: Integer = Field(
        5, ge=1, le=1000, description="Consecutive failed calls that eject an endpoint."
    )
    base_ejection_time: Duration = Field(
        30.0, description="Length of the first ejection. It grows with each further one."
    )
    max_ejection_time: Duration = Field(300.0, description="Longest ejection.")
    max_ejection_percent: Integer = Field(
        50, ge=0, le=100, description="Largest share of endpoints that may be ejected at once."
    )
    hung_after: DurationOrZero = Field(
        15.0,
        description="How long a silent endpoint that accepts connections counts as busy, not as hung, while it holds a "
        "call of a tool that may take long; at most half of timeouts.request. In any case an endpoint that came back "
        "from silences before counts as busy for 1.5 times the longest of them.",
    )
    suspect_after: Annotated[float | None, DurationRule(word="auto")] = Field(
        None,
        description="The gateway checks an endpoint when a call waits longer than this for its first byte. "
        "`auto` is twice the 99th percentile of the tools at work there, from 500ms to 30s; while these are unknown, "
        "1s or four times the mean latency of the endpoint, whichever is larger.",
    )
