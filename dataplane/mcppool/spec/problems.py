"""What is wrong with a configuration, said so that its author can mend it without looking anything up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, what is there, why it will not do, and what would."""

    path: str
    """The dotted place, as in `pools[0].retry_policy.strategy`; empty where the whole source is concerned."""
    message: str
    value: object = None
    allowed: str | None = None
    line: int | None = None
    source: str = ""

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        head = ": ".join(part for part in (place, self.path) if part)
        text = f"{head}: {self.message}" if head else self.message
        return text if self.allowed is None else f"{text}; allowed: {self.allowed}"


class ConfigError(Exception):
    """A configuration was refused. `problems` holds everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


HIDDEN = "(hidden)"
"""Stands for a value that nobody should see who looks at a configuration."""


def show(value: object) -> str:
    """A value as it is written in files, on one line, cut where it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        text = str(value)
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return text if len(text) <= 80 else text[:77] + "..."
