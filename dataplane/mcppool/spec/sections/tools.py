"""`tools."NAME or PREFIX*"`: overrides for some tools. The most specific entry wins."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from mcppool.spec.model import NotMore, Rule, Section
from mcppool.spec.sections.retry_policy import RetryPreset, RetryStrategy, fill_from_preset
from mcppool.spec.values import Duration, DurationOrZero, Flag, Hint, Integer

TOOL_PATTERN = r"^[A-Za-z0-9_.\-/]{0,127}([A-Za-z0-9_.\-/]|\*)$"
ToolName = Annotated[
    str, StringConstraints(pattern=TOOL_PATTERN, max_length=128), Hint("a tool's name, or the beginning of one and a *")
]


def has_own_key(tool: str) -> bool:
    """Whether a key of `tools` can name this tool, and it alone: `find*` names others, and `日本語` is refused."""
    return re.fullmatch(TOOL_PATTERN, tool) is not None and not tool.endswith("*")


class ToolRetryPolicySpec(Section):
    """The pool's `retry_policy` where a tool differs. Keys that you leave out have the pool's values."""

    rules: ClassVar[tuple[Rule, ...]] = (NotMore("base_delay", "max_delay"),)

    preset: RetryPreset | None = Field(None, description="Sets the four keys below together.")
    strategy: RetryStrategy | None = Field(None, description="How the wait grows from one attempt to the next.")
    base_delay: DurationOrZero | None = Field(None, description="Wait before the second attempt at the same endpoint.")
    max_delay: DurationOrZero | None = Field(None, description="Longest wait between two attempts.")
    max_attempts: Integer | None = Field(None, ge=1, le=10, description="Attempts of one call, the first included.")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        return fill_from_preset(data)


class ToolSpec(Section):
    """Overrides for one tool, or for all tools whose names have the prefix."""

    idempotent: Flag | None = Field(
        None,
        description="Whether the gateway may repeat a call that may have run. Default: the tool's annotations decide.",
    )
    access: Literal["allow", "deny"] = Field(
        "allow", description="Whether clients may call the tool. A denied tool is not listed. See also `access`."
    )
    timeout: Duration | None = Field(None, description="Replaces timeouts.request.")
    retry_policy: ToolRetryPolicySpec | None = Field(None, description="Overrides the pool's retry_policy, key by key.")
    cache_ttl: Duration | None = Field(None, description="Cache results of the tool for this time.")
    max_concurrent: Integer | None = Field(
        None, ge=1, le=1_000_000, description="Maximum number of calls of the tool in flight."
    )

    @model_validator(mode="before")
    @classmethod
    def _point_at_pins(cls, data: Any) -> Any:
        """`tools.pin = "deny"` reads as a tool called `pin`."""
        if data in ("off", "warn", "deny"):
            raise PydanticCustomError("pin", "is no table of a tool; catalog.pin pins all tools")
        return data
