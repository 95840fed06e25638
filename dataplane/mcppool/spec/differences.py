"""The settings in which two configurations differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, Final

from mcppool.spec.explain import settings_of
from mcppool.spec.pool import PoolSpec
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
    """Every difference, by path. An element of a list is known by its `url` or `name`, whatever its position. Of a pool
    that is new or gone: the settings that differ from the defaults."""
    ours, theirs = settings_of(old), settings_of(new)
    same = ours["pools"].keys() & theirs["pools"].keys()
    before, after = _flat(ours, same), _flat(theirs, same)
    paths = sorted(before.keys() | after.keys())
    return [
        Difference(path, before.get(path), after.get(path)) for path in paths if before.get(path) != after.get(path)
    ]


def _flat(settings: Mapping[str, Any], in_both: Set[str]) -> dict[str, Any]:
    found = dict(_identified(settings["process"], ""))
    for name, pool in settings["pools"].items():
        usual = {} if name in in_both else _defaults()
        chosen = {path: value for path, value in pool.items() if path not in usual or usual[path] != value["value"]}
        found.update(_identified(chosen, f"pools.{name}."))
    return found


def _defaults() -> dict[str, Any]:
    """The settings of a pool of which only the name is written, and their values."""
    settings = settings_of(Snapshot(pools=(PoolSpec(name="x"),)))["pools"]["x"]
    return {path: value["value"] for path, value in settings.items()}


def _identified(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for path, value in settings.items():
        element = _ELEMENT.match(path)
        if element is not None:
            at, index, rest = element.groups()
            named = (settings.get(f"{at}[{index}]{name}") for name in _NAMES)
            name = next((found["value"] for found in named if found is not None), index)
            path = f"{at}[{name}]{rest}"
        yield prefix + path, value["value"]
