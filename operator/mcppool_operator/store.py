"""The pools' children as the watches last showed them, packed; other objects are read from the API server.

A reconcile compares a dozen children with their desired state. Reading each of them each time would be most of the
operator's work in a cluster with many pools. So the store keeps the newest version of each child: from a watch, from a
read, from the answer to a write. Before its kind is listed, an absent child is read from the API server. Afterwards it
counts as absent: creation fails if the object exists (apply.py), and then the operator reads it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from mcppool_operator.api import KubeApi, Object
from mcppool_operator.resources import AUTOSCALER, DEPLOYMENT, POOL, Kind
from mcppool_operator.triggers import owning_pool

Place = tuple[Kind, str, str]
"""Kind, namespace and name of an object."""

LEVEL: Final = 1
"""Level of compression: it reduces children to a few hundred bytes, and packing one takes some 50 µs."""


class Store:
    """The newest known version of each child."""

    def __init__(self) -> None:
        self._packed: dict[Place, tuple[int, bytes]] = {}
        self._complete: set[Kind] = set()
        self._taken: set[Place] = set()  # names of objects that exist and that no watch shows

    def observe(self, kind: Kind, obj: Mapping[str, Any], *, deleted: bool = False) -> bool:
        """Take an object from a watch; return whether its content has changed."""
        place, version = _place(kind, obj), _version(obj)
        known = self._packed.get(place)
        if known is not None and known[0] >= version and version:
            return False
        if deleted:
            self._packed.pop(place, None)
            return True
        packed = _pack(kind, obj)
        self._packed[place] = version, packed
        return known is None or known[1] != packed

    def keep(self, kind: Kind, obj: Mapping[str, Any]) -> None:
        """Take an object from a read, or from the answer to a write."""
        self.observe(kind, obj)

    def drop(self, kind: Kind, namespace: str, name: str) -> None:
        """Forget one object: the next read asks the API server."""
        self._packed.pop((kind, namespace, name), None)

    def ask(self, kind: Kind, namespace: str, name: str) -> None:
        """Forget one object, and read it next time: an object of that name exists."""
        self.drop(kind, namespace, name)
        self._taken.add((kind, namespace, name))

    def forget(self, namespace: str, pool: str) -> None:
        """Drop a pool that is gone; the events of its children drop the children."""
        self.drop(POOL, namespace, pool)
        prefix = f"{pool}-mcp-"
        self._taken -= {place for place in self._taken if place[1] == namespace and place[2].startswith(prefix)}

    def listed(self, kind: Kind) -> None:
        """Note that every object of a kind was listed: an absent one does not exist, or is not the operator's."""
        self._complete.add(kind)

    def unsure(self, kind: Kind) -> None:
        """Forget all objects of a kind: its watch has begun again, and does not report deletions in between."""
        self._complete.discard(kind)
        for place in [place for place in self._packed if place[0] == kind]:
            del self._packed[place]

    async def read(self, api: KubeApi, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return an object; None if there is none, or if no watch has shown one and no creation has failed."""
        place = (kind, namespace, name)
        known = self._packed.get(place)
        if known is not None:
            return _unpack(*known)
        if kind in self._complete and place not in self._taken:
            return None
        found = await api.get(kind, namespace, name)
        self._taken.discard(place)
        if found is not None and owning_pool(found) is not None:
            self.keep(kind, found)  # the watches cover objects of pools, and nothing else
        elif found is not None:
            self._taken.add(place)
        return found


def _place(kind: Kind, obj: Mapping[str, Any]) -> Place:
    metadata = obj["metadata"]
    return kind, metadata["namespace"], metadata["name"]


def _version(obj: Mapping[str, Any]) -> int:
    """The resource version as a number, for comparing versions of one kind; 0 if it is no number."""
    version = str(obj["metadata"].get("resourceVersion", ""))
    return int(version) if version.isdecimal() else 0


def _pack(kind: Kind, obj: Mapping[str, Any]) -> bytes:
    """Everything but the version, and but fields that change all the time without a reader."""
    # Field owners are needed for Deployments only, and they are the larger half of most objects.
    left_out = {"resourceVersion"} if _version(obj) else set()
    left_out |= set() if kind is DEPLOYMENT else {"managedFields"}
    content = {**obj, "metadata": {name: value for name, value in obj["metadata"].items() if name not in left_out}}
    if kind is AUTOSCALER and "status" in obj:
        content["status"] = {"conditions": obj["status"].get("conditions")}
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode(), LEVEL)


def _unpack(version: int, packed: bytes) -> Object:
    found: Object = json.loads(zlib.decompress(packed))
    if version:
        found["metadata"]["resourceVersion"] = str(version)
    return found
