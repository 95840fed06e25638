"""Removes keys that this version does not support, and reports each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mcppool.spec.availability import available, is_later, limit
from mcppool.spec.naming import Spelling
from mcppool.spec.problems import show
from mcppool.spec.reading import Finding, Place
from mcppool.spec.shape import Shape, fields_of


def withhold(shape: Shape, data: dict[str, Any], spelling: Spelling) -> list[Finding]:
    """Removes keys that this version does not support from conformed data, and reports each."""
    return list(_withhold(shape, data, (), "", spelling))


def _withhold(shape: Shape, data: Any, place: Place, path: str, spelling: Spelling) -> Iterator[Finding]:
    if shape.kind == "section" and isinstance(data, dict):
        assert shape.model is not None
        for name, field in fields_of(shape.model).items():
            if name not in data:
                continue
            inner = f"{path}.{name}" if path else name
            if finding := _finding(field.shape, data[name], (*place, name), inner, spelling):
                del data[name]
                yield finding
            else:
                # A pool's keys have the same names as at the top level.
                yield from _withhold(
                    field.shape, data[name], (*place, name), "" if inner == "pools" else inner, spelling
                )
    elif shape.item is not None and isinstance(data, dict):
        for key, value in data.items():
            yield from _withhold(shape.item, value, (*place, key), path, spelling)
    elif shape.item is not None and isinstance(data, tuple):
        for index, value in enumerate(data):
            yield from _withhold(shape.item, value, (*place, index), path, spelling)


def _finding(shape: Shape, value: Any, place: Place, path: str, spelling: Spelling) -> Finding | None:
    if is_later(path):
        return Finding(place, f'"{spelling.key(path.rpartition(".")[2])}" is not available in this version', value)
    if isinstance(value, str) and value not in available(path, (value,)):
        words = ", ".join(map(spelling.value, available(path, shape.choices)))
        return Finding(place, f'"{spelling.value(value)}" is not available in this version', value, words)
    highest = limit(path)
    if highest is not None and isinstance(value, int) and value > highest:
        return Finding(place, f"{show(value)} is not available in this version", value, f"up to {highest}")
    return None
