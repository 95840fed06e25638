"""One piece of advice, and how its values are written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from mcppool.spec.values import format_duration

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class ProposedChange:
    """A key of the pool, as in its file, with its value in force (None: it is not set) and the proposed one (None:
    leave the key out)."""

    key: str
    now: Any
    proposed: Any


@dataclass(frozen=True, slots=True)
class Advice:
    """Proposed changes of a pool, the reason, the figures that it rests on, and the expected effect.

    `check` is a question that only a person can answer before the change; empty if there is none.
    """

    pool: str
    rule: str
    changes: tuple[ProposedChange, ...]
    why: str
    figures: Mapping[str, float | str]
    expect: str
    check: str = ""

    def as_json(self) -> dict[str, Any]:
        """The advice as a JSON object."""
        return asdict(self)


def tool_key(tool: str, key: str) -> str:
    """The path of a key of a tool."""
    return f"tools.{tool if _BARE.fullmatch(tool) else json.dumps(tool)}.{key}"


def written(seconds: float) -> str:
    """A duration as in a file, rounded up to two digits of its unit."""
    unit = 0.001 if seconds < 1 else 1.0 if seconds < 600 else 60.0
    return format_duration(_up(seconds / unit) * unit)


def percent(share: float) -> str:
    """A share in words."""
    return f"{share:.0%}" if share >= 0.095 or not share else f"{share:.1%}"


def _up(number: float) -> int:
    """A whole number that is not less, with at most two digits that are not zero."""
    step = 1
    while number > 100 * step:
        step *= 10
    return max(1, -(-int(number * 1000) // (1000 * step))) * step
