"""`circuit_breaker`, `rate_limit` and `limits`: what keeps a pool from being overrun."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mcppool.spec.model import Section
from mcppool.spec.values import Duration, Flag, Integer, Size, SizeRule


class CircuitBreakerSpec(Section):
    """A breaker for each endpoint and tool."""

    failure_threshold: Integer = Field(5, ge=1, le=1000, description="Failures in a row that open it.")
    open_duration: Duration = Field(60.0, description="How long it stays open before one call tries.")
    success_threshold: Integer = Field(3, ge=1, le=1000, description="Successes in a row that close it.")
    count_internal_errors: Flag = Field(
        False, description="Count a JSON-RPC error -32603, which many servers give for any error of a handler."
    )


class RateSpec(Section):
    """A token bucket."""

    requests_per_second: Integer = Field(ge=1, le=1_000_000, description="Calls per second in the long run.")
    burst: Integer | None = Field(None, ge=1, le=1_000_000, description="Calls at once; default: one second's worth.")


class RateLimitSpec(Section):
    """How fast calls may come; each part that is set counts by itself."""

    principal: RateSpec | None = Field(None, description="For each client.")
    tool: RateSpec | None = Field(None, description="For each tool.")
    pool: RateSpec | None = Field(None, description="For the whole pool.")
    store: Literal["memory", "redis"] = Field(
        "memory", description="Where calls are counted: for each gateway by itself, or for all at cache.redis_url."
    )


class ConcurrencySpec(Section):
    """Calls at the same time."""

    max_concurrent: Integer = Field(ge=1, le=1_000_000, description="Calls in flight at once.")
    max_queue: Integer = Field(0, ge=0, le=1_000_000, description="Calls that may wait beyond that.")


class LimitsSpec(Section):
    """How many calls may be under way; each part that is set counts by itself."""

    endpoint: ConcurrencySpec | None = Field(None, description="For each endpoint.")
    pool: ConcurrencySpec | None = Field(None, description="For the whole pool.")
    tool: ConcurrencySpec | None = Field(None, description="For each tool.")
    max_answer: Size = Field(64 << 20, description="Largest answer that is read whole, and largest event of a stream.")


Memory = Annotated[int, SizeRule(minimum=64 << 20)]


class ProcessLimitsSpec(LimitsSpec):
    """How many calls may be under way, and how much memory the gateway may use for all of them."""

    memory: Memory | None = Field(
        None,
        description="Most memory of the process; above it new work is refused with `overloaded`. In a file: at the "
        "top level. Default: three quarters of the container's memory limit, else half of the machine's memory.",
    )


class MemoryLimitsSpec(Section):
    """What the whole process may use."""

    memory: Memory | None = Field(None, description="Most memory of the gateway process.")
