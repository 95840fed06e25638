"""Keeps the Secret with a pool's sealing keys present, without the right to read any Secret.

The operator may only create Secrets, so it cannot look up the owner of one. Instead, before a pool's first gateways, it
tests whether the name is free (a dry run), records in the pool's ConfigMap that the Secret of that name will be the
pool's, and then creates it. From then on, the answer "exists already" confirms that the Secret is there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from mcppool_operator.api import KubeApi, KubeError
from mcppool_operator.children import Owner
from mcppool_operator.children.keys import rotated_keys, sealing_keys
from mcppool_operator.resources import SECRET
from mcppool_operator.rotation import SealingKey

RECORD: Final = "mcppool.dev/keys-of"
"""Annotation of the ConfigMap: the uid of the pool that owns the Secret with the keys."""

SETTLED: Final = 60.0
"""Seconds between two looks for the Secret of a pool with running gateways, which have the keys already."""

UNSETTLED: Final = 15.0
"""The same while a gateway waits to start, which a missing Secret would explain."""


def recorded(config_map: Mapping[str, Any] | None, owner: Owner) -> bool:
    """Return whether a ConfigMap records that the Secret is, or will be, the pool's. Pure."""
    return ((config_map or {}).get("metadata", {}).get("annotations") or {}).get(RECORD) == owner.uid


class KeyKeeper:
    """Creates missing Secrets."""

    def __init__(self, api: KubeApi, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[str, float]] = {}  # by namespace and name: the pool's uid, and when
        self._rotated: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}  # Secrets of rotations, by slot

    async def free(self, owner: Owner, slot: int = 0) -> bool:
        """Return whether there is no Secret of that name. Raises KubeError."""
        return await self._create(sealing_keys(owner, slot), dry_run=True)

    async def rotated(self, owner: Owner, key: SealingKey, description: str) -> bool:
        """Create the Secret with a key of a rotation; returns whether there was none. Raises KubeError."""
        secret = rotated_keys(owner, key, description)
        self._rotated.setdefault((owner.namespace, owner.name), {})[key.slot] = secret
        return await self._create(secret, dry_run=False)

    def drop(self, owner: Owner, slot: int) -> None:
        """Forget the key of a slot: its Secret is not to be kept any longer."""
        self._rotated.get((owner.namespace, owner.name), {}).pop(slot, None)

    async def keep(self, owner: Owner) -> None:
        """Create the Secret if there is none; its name is known to be the pool's. Raises KubeError."""
        place = owner.namespace, owner.name
        if self._seen.get(place, ("",))[0] != owner.uid:
            self._seen[place] = owner.uid, -math.inf
        await self.look(owner, SETTLED)

    async def look(self, owner: Owner, within: float) -> None:
        """Do that for a pool whose keys were kept before, unless it was done within so many seconds. Raises
        KubeError."""
        place, now = (owner.namespace, owner.name), self._clock()
        uid, seen = self._seen.get(place, ("", now))
        if uid == owner.uid and now - seen >= within:
            self._seen[place] = owner.uid, now
            for secret in (sealing_keys(owner), *self._rotated.get(place, {}).values()):
                await self._create(secret, dry_run=False)

    def forget(self, namespace: str, name: str) -> None:
        """Forget a pool that is deleted, or whose Secret belongs to another owner."""
        self._seen.pop((namespace, name), None)
        self._rotated.pop((namespace, name), None)

    async def _create(self, secret: dict[str, Any], *, dry_run: bool) -> bool:
        try:
            await self._api.create(SECRET, secret, dry_run=dry_run)
        except KubeError as error:
            if error.reason == "AlreadyExists":
                return False
            raise
        return True
