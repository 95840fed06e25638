"""Settings in the terminal: one on each line, with its origin beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

WIDTH = 72  # columns; an origin follows a longer value directly


def render_settings(settings: Mapping[str, Any]) -> str:
    """The settings of the process and of each pool, as `mcppool.spec.explain.settings_of` gives them."""
    return "\n".join(_lines(settings))


def _lines(settings: Mapping[str, Any]) -> Iterator[str]:
    yield from _group("process", settings.get("process", {}))
    for name, pool in settings.get("pools", {}).items():
        yield from _group(f"pool {name}", pool)


def _group(title: str, values: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    lines = [
        (f"{path} = {json.dumps(one['value'], ensure_ascii=False)}", one["origin"]) for path, one in values.items()
    ]
    width = min(max((len(text) for text, _ in lines), default=0), WIDTH)
    yield f"\n{title}"
    for text, origin in lines:
        yield f"  {text:<{width}}  {origin}"
