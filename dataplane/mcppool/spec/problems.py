"""Mistakes in a configuration, described so that the author can correct them without looking anything up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mcppool.spec.redaction import redacted, without_secrets


@dataclass(frozen=True)
class Problem:
    """One mistake: its place, the value, the reason, and the allowed values."""

    path: str
    """The dotted place, as in `pools[0].retry_policy.strategy`; empty if the whole source is concerned."""
    message: str
    value: object = None
    allowed: str | None = None
    line: int | None = None
    source: str = ""
    column: int | None = None
    """Where in the line a text stops being TOML, counted from 1."""

    def __post_init__(self) -> None:
        """Hide secrets: a problem is logged, and shown on pages, with its value."""
        message, shown = self.message, show(self.value)
        value = redacted(self.value, _last_name(self.path))
        if self.value is not None and value != self.value:
            for quoted in (shown, str(self.value)):
                message = message.replace(quoted, show(value)) if quoted else message
        object.__setattr__(self, "message", without_secrets(message))
        object.__setattr__(self, "value", value)

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.source, self.line, self.column) if part is not None)
        head = ": ".join(part for part in (place, self.path) if part)
        text = f"{head}: {self.message}" if head else self.message
        return text if self.allowed is None else f"{text}; allowed: {self.allowed}"


class ConfigError(Exception):
    """A configuration was refused. `problems` holds all mistakes in it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def show(value: object) -> str:
    """A value as in a file, on one line, without secrets, cut if it is long."""
    try:
        text = json.dumps(redacted(value), ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        text = without_secrets(str(value))
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return text if len(text) <= 80 else text[:77] + "..."


def _last_name(path: str) -> str:
    """The name of the key at a place, without the number in a list."""
    return path.rpartition(".")[2].partition("[")[0].strip('"')
