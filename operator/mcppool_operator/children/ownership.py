"""Whose an object is, and whether it still is what we want of it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from mcppool_operator.children import Owner
from mcppool_operator.resources import POOL

APPLIED = "mcppool.dev/applied"
"""Annotation of a child: the digest of what was applied last, which shows that a field is no longer wanted."""


class Ownership(Enum):
    """Whose an object of a child's name is."""

    OURS = "ours"
    LEFTOVER = "leftover"  # of an earlier pool of the same name: garbage collection is about to remove it
    FOREIGN = "foreign"


def ownership(live: Mapping[str, Any], owner: Owner) -> Ownership:
    """Tell whose a live object is, by its controller reference."""
    for reference in live["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            if reference.get("uid") == owner.uid:
                return Ownership.OURS
            group = str(reference.get("apiVersion", "")).partition("/")[0]
            if (group, reference.get("kind"), reference.get("name")) == (POOL.group, POOL.kind, owner.name):
                return Ownership.LEFTOVER
    return Ownership.FOREIGN


def marked(desired: Mapping[str, Any]) -> dict[str, Any]:
    """Return a desired object with the annotation that says what it was made from."""
    text = json.dumps(desired, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    annotations = {**desired["metadata"].get("annotations", {}), APPLIED: digest}
    return {**desired, "metadata": {**desired["metadata"], "annotations": annotations}}


def owns_replicas(live: Mapping[str, Any], manager: str) -> bool:
    """Say whether the number of replicas of a live object belongs to a field manager's applies."""
    return any(
        "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
        for entry in live["metadata"].get("managedFields") or ()
        if entry.get("manager") == manager and entry.get("operation") == "Apply"
    )


def in_step(desired: Any, live: Any) -> bool:
    """Say whether everything in `desired` is so in `live`; what others have added there does not matter.

    Lists are compared element by element: the API server adds to their elements, not to the lists that we write. A
    quantity that it writes in another way (`1000m`, `1`) makes this False, which costs one apply that changes nothing.
    """
    if isinstance(desired, Mapping):
        return isinstance(live, Mapping) and all(key in live and in_step(desired[key], live[key]) for key in desired)
    if isinstance(desired, list | tuple):
        return isinstance(live, list) and len(desired) == len(live) and all(map(in_step, desired, live))
    return bool(desired == live)
