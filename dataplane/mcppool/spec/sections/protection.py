"""`circuit_breaker`, `rate_limit` and `limits`: protection of a pool from overload."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from mcppool.spec.model import Section
from mcppool.spec.values import CountRule, Duration, Flag, Integer, Size, SizeRule

QUEUE_OF_AUTO: Final = 50
"""`max_queue` of `limits.endpoint = "auto"`."""


class CircuitBreakerSpec(Section):
    """A breaker for each endpoint and tool. An open breaker keeps calls of the tool away from the endpoint."""

    failure_threshold: Integer = Field(5, ge=1, le=1000, description="Consecutive failures that open the breaker.")
    open_duration: Duration = Field(60.0, description="How long the breaker stays open before it lets one call try.")
    success_threshold: Integer = Field(3, ge=1, le=1000, description="Consecutive successes that close the breaker.")
    count_internal_errors: Flag = Field(
        False,
        description="Count the JSON-RPC error -32603 as a failure. Many servers send it for any error of a handler.",
    )


class RateSpec(Section):
    """A token bucket."""

    requests_per_second: Integer = Field(ge=1, le=1_000_000, description="Calls per second in the long run.")
    burst: Integer | None = Field(
        None, ge=1, le=1_000_000, description="Calls at once. Default: the calls of one second."
    )


class RateLimitSpec(Section):
    """Bounds on calls per second. Each part that you set counts by itself."""

    principal: RateSpec | None = Field(
        None, description="For each client: its principal, or the address of a client without a credential."
    )
    tool: RateSpec | None = Field(None, description="For each tool.")
    pool: RateSpec | None = Field(None, description="For the whole pool.")
    store: Literal["memory", "redis"] = Field(
        "memory",
        description="Where calls are counted: in each gateway alone, or for all gateways in the Redis at "
        "cache.redis_url.",
    )


class ConcurrencySpec(Section):
    """Concurrent calls."""

    max_concurrent: Integer = Field(ge=1, le=1_000_000, description="Maximum number of calls in flight.")
    max_queue: Integer = Field(0, ge=0, le=1_000_000, description="Maximum number of further calls that wait.")


class EndpointConcurrencySpec(ConcurrencySpec):
    """Concurrent calls at one endpoint."""

    max_concurrent: Annotated[int | None, CountRule(1, 1_000_000, "auto")] = Field(  # type: ignore[assignment]
        description="Maximum number of calls in flight. `auto` learns it from latencies, refusals and time-outs. In a "
        'file, `endpoint = "auto"` is short for that, with a `max_queue` of 50.',
    )

    @model_validator(mode="before")
    @classmethod
    def _read_word(cls, data: Any) -> Any:
        return {"max_concurrent": "auto", "max_queue": QUEUE_OF_AUTO} if data == "auto" else data


class LimitsSpec(Section):
    """Bounds on calls in flight. Each part that you set counts by itself."""

    principal: ConcurrencySpec | None = Field(
        None, description="For each client: its principal, or the address of a client without a credential."
    )
    endpoint: EndpointConcurrencySpec | None = Field(None, description="For each endpoint.")
    pool: ConcurrencySpec | None = Field(None, description="For the whole pool.")
    tool: ConcurrencySpec | None = Field(None, description="For each tool.")
    max_answer: Size = Field(64 << 20, description="Largest answer, and largest event of a stream.")


Memory = Annotated[int, SizeRule(minimum=64 << 20)]


class ProcessLimitsSpec(LimitsSpec):
    """Bounds on calls in flight, and on the memory of the gateway."""

    memory: Memory | None = Field(
        None,
        description="Maximum memory of the process. Above it, the gateway refuses new work with "
        "`overloaded`. In a file it stands at the top level. Default: three quarters of the "
        "container's memory limit, else half of the machine's memory.",
    )


class MemoryLimitsSpec(Section):
    """Bounds for the whole process."""

    memory: Memory | None = Field(None, description="Maximum memory of the gateway process.")
