"""`retry_policy`: retries of a call, their number and their waits."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from mcppool.spec.model import NotMore, Rule, Section
from mcppool.spec.values import DurationOrZero, DurationRule, Flag, Integer

RetryPreset = Literal["quick", "standard", "network", "throttle"]
RetryStrategy = Literal["exponential", "linear", "adaptive"]
Status = Annotated[Integer, Field(ge=400, le=599)]

PRESETS: Final[dict[str, dict[str, Any]]] = {
    "quick": {"strategy": "exponential", "base_delay": "100ms", "max_delay": "5s", "max_attempts": 3},
    "standard": {"strategy": "exponential", "base_delay": "1s", "max_delay": "30s", "max_attempts": 5},
    "network": {"strategy": "exponential", "base_delay": "500ms", "max_delay": "10s", "max_attempts": 4},
    "throttle": {"strategy": "linear", "base_delay": "2s", "max_delay": "30s", "max_attempts": 3},
}
"""Values of each preset (from the founding document)."""

HEDGE_BY_LATENCY: Final = 0.0
"""`hedge_after = "auto"`."""

SET_BY_PRESET: Final = frozenset(PRESETS["standard"])


def fill_from_preset(data: Any) -> Any:
    """Add the values of the preset, if `data` names one, for keys that `data` leaves out."""
    if isinstance(data, dict) and isinstance(data.get("preset"), str):
        return PRESETS.get(data["preset"], {}) | data
    return data


class RetryPolicySpec(Section):
    """Retries of calls. A preset sets the keys that you leave out."""

    rules: ClassVar[tuple[Rule, ...]] = (NotMore("base_delay", "max_delay"),)

    preset: RetryPreset | None = Field(
        None, description="Sets strategy, base_delay, max_delay and max_attempts together."
    )
    strategy: RetryStrategy = Field("exponential", description="How the wait grows from one attempt to the next.")
    base_delay: DurationOrZero = Field(1.0, description="Wait before the second attempt at the same endpoint.")
    max_delay: DurationOrZero = Field(30.0, description="Longest wait between two attempts.")
    max_attempts: Integer = Field(
        5, ge=1, le=10, description="Attempts of one call, the first included. 1 turns retries off."
    )
    budget_percent: Integer = Field(20, ge=0, le=100, description="Retries may add this percentage to the calls.")
    budget_min_per_second: Integer = Field(3, ge=0, le=1000, description="Retries per second that are always allowed.")
    budget_percent_per_principal: Integer = Field(
        50,
        ge=1,
        le=100,
        description="Percentage of these retries that one principal may use while other principals call, too.",
    )
    refused_statuses: tuple[Status, ...] = Field(
        (429,), max_length=16, description="HTTP statuses of a refusal: the server did not begin the call."
    )
    hedge_after: Annotated[float, DurationRule(word="auto", meaning=HEDGE_BY_LATENCY)] | None = Field(
        None,
        description="Send a safe call to a second endpoint, too, when no answer has come after this time. `auto` is "
        "the 95th percentile of the last 200 calls of the same method. Default: never.",
    )
    trust_annotations: Flag = Field(
        True,
        description="Believe a tool's `readOnlyHint` and `idempotentHint` when the gateway decides whether "
        "to repeat a call.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        return fill_from_preset(data)
