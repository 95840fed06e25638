"""Laying a user's partial pod template over the generated one. Pure.

As `kubectl patch` does it by default (strategic merge), as far as pod templates go: objects are merged, lists of named
objects are merged by name, any other list or value is replaced, and null removes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

KEYS: Final = {
    "volumeMounts": "mountPath",
    "ports": "containerPort",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
"""By what the elements of a list are told apart, where that is not their name."""


def merge(base: Any, patch: Any, field: str = "") -> Any:
    """Return `base` with `patch` laid over it; neither is changed."""
    if isinstance(base, Mapping) and isinstance(patch, Mapping):
        merged = dict(base)
        for key, value in patch.items():
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = merge(base[key], value, key) if key in base else value
        return merged
    if isinstance(base, list) and isinstance(patch, list):
        name = KEYS.get(field, "name")
        if all(isinstance(entry, Mapping) and name in entry for entry in [*base, *patch]):
            by_name = {entry[name]: entry for entry in base}
            for entry in patch:
                known = by_name.get(entry[name])
                by_name[entry[name]] = entry if known is None else merge(known, entry)
            return list(by_name.values())
    return patch
