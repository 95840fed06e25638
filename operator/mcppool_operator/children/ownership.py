"""The owner of an object, and whether the object still has its desired state. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from mcppool.spec.sections.quantity import amount
from mcppool_operator.children import Owner
from mcppool_operator.resources import POOL

ADOPT = "mcppool.dev/adopt"
"""Annotation of an object without a controller: the name of the pool that adopts it."""

APPLIED = "mcppool.dev/applied"
"""Annotation of a child: the digest of the last applied object, which shows that a field is no longer desired."""


QUANTITY_MARK = "#"
"""Ends the path of a value that is a quantity."""


class Ownership(Enum):
    """The owner of an object with a child's name."""

    OURS = "ours"
    LEFTOVER = "leftover"  # of an earlier pool with the same name: garbage collection is about to remove it
    FOREIGN = "foreign"
    OFFERED = "offered"  # without an owner, and annotated for adoption by this pool


def ownership(live: Mapping[str, Any], owner: Owner) -> Ownership:
    """Return the ownership of a live object, by its controller reference; or, without a controller, by an
    annotation."""
    controlled = False
    for reference in live["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            if reference.get("uid") == owner.uid:
                return Ownership.OURS
            group = str(reference.get("apiVersion", "")).partition("/")[0]
            if (group, reference.get("kind"), reference.get("name")) == (POOL.group, POOL.kind, owner.name):
                return Ownership.LEFTOVER
            controlled = True
    offered = (live["metadata"].get("annotations") or {}).get(ADOPT) == owner.name
    return Ownership.OFFERED if offered and not controlled else Ownership.FOREIGN


def marked(desired: Mapping[str, Any]) -> dict[str, Any]:
    """Return a desired object with the annotation of its digest."""
    text = json.dumps(desired, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    annotations = {**desired["metadata"].get("annotations", {}), APPLIED: digest}
    return {**desired, "metadata": {**desired["metadata"], "annotations": annotations}}


def owns_replicas(live: Mapping[str, Any], manager: str) -> bool:
    """Return whether the number of replicas of a live object belongs to a field manager's applies."""
    return any(
        "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in live["metadata"].get("managedFields") or ()
        if entry.get("manager") == manager and entry.get("operation") == "Apply"
    )


def difference(desired: Any, live: Any, path: str = "") -> str | None:
    """Return the place and kind of the first difference of `live` from the desired object; None if there is none.

    Additions of others to mappings do not matter. Lists are compared element by element: the API server adds to their
    elements, not to the lists. Quantities with the same meaning are equal (`1000m`, `1`), and so are an empty value and
    none: the API server writes both in either form.
    """
    if isinstance(desired, Mapping):
        return _mapping_difference(desired, live, path)
    if isinstance(desired, list | tuple):
        return _list_difference(desired, live, path)
    if desired == live or (path.endswith(QUANTITY_MARK) and _same_quantity(desired, live)):
        return None
    return f"{path.removesuffix(QUANTITY_MARK)} is {live!r} and not {desired!r}"


def _mapping_difference(desired: Mapping[str, Any], live: Any, path: str) -> str | None:
    if not isinstance(live, Mapping):
        return None if not desired and live is None else f"{path or 'the object'} is {live!r}"
    mark = QUANTITY_MARK if path.endswith((".requests", ".limits")) else ""
    for key, value in desired.items():
        below = f"{path}.{key}" if path else key
        if key not in live:
            if value is None or value in ({}, [], ()):
                continue
            return f"{below} is missing"
        if found := difference(value, live[key], below + (mark or (QUANTITY_MARK if key == "sizeLimit" else ""))):
            return found
    return None


def _list_difference(desired: Sequence[Any], live: Any, path: str) -> str | None:
    if not isinstance(live, list):
        return None if not desired and live is None else f"{path} is {live!r}"
    if len(desired) != len(live):
        added = _names(live) - _names(desired)
        return f"{path} has {len(live)} entries and not {len(desired)}" + (
            f": {', '.join(sorted(added))}" if added else ""
        )
    pairs = enumerate(zip(desired, live, strict=True))
    return next((found for n, (a, b) in pairs if (found := difference(a, b, f"{path}[{n}]"))), None)


def _names(entries: Sequence[Any]) -> set[str]:
    return {str(entry["name"]) for entry in entries if isinstance(entry, Mapping) and "name" in entry}


def _same_quantity(desired: Any, live: Any) -> bool:
    try:
        return amount(desired) == amount(live)
    except (ValueError, TypeError):
        return False
