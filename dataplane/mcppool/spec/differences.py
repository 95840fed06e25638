"""The settings in which two configurations differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcppool.spec.explain import settings_of
from mcppool.spec.snapshot import Snapshot

_ELEMENT: Final = re.compile(r"^(.*?)\[(\d+)\](.*)$")
_NAMES: Final = (".url", ".name")
"""Members that identify the element of a list."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that differs: its path, and its values; None where it is not set. Secrets are hidden."""

    path: str
    before: Any
    after: Any


def differences(old: Snapshot, new: Snapshot) -> list[Difference]:
    """Every difference, by path. An element of a list is known by its `url` or `name`, whatever its position."""
    before, after = _flat(old), _flat(new)
    paths = sorted(before.keys() | after.keys())
    return [
        Difference(path, before.get(path), after.get(path)) for path in paths if before.get(path) != after.get(path)
    ]


def _flat(snapshot: Snapshot) -> dict[str, Any]:
    settings = settings_of(snapshot)
    found = dict(_identified(settings["process"], ""))
    for name, pool in settings["pools"].items():
        found.update(_identified(pool, f"pools.{name}."))
    return found


def _identified(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for path, value in settings.items():
        element = _ELEMENT.match(path)
        if element is not None:
            at, index, rest = element.groups()
            named = (settings.get(f"{at}[{index}]{name}") for name in _NAMES)
            name = next((found["value"] for found in named if found is not None), index)
            path = f"{at}[{name}]{rest}"
        yield prefix + path, value["value"]
