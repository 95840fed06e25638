"""Carries out the rotation of sealing keys: the state in memory and in the pool's ConfigMap, descriptions and Secrets.

The order makes a rotation safe to interrupt: first the ConfigMap has the new state, with the id of the new key; then
the description of the key exists; then the Secret. Each step is repeated until it has taken effect.
"""

from __future__ import annotations

import datetime
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from mcppool.spec.resource import Resource
from mcppool_operator.api import Object
from mcppool_operator.apply import PublishError
from mcppool_operator.children import Child
from mcppool_operator.children.keys import KEY_ID, description, new_key_id
from mcppool_operator.observed import Sync
from mcppool_operator.resources import CONFIG_MAP, SECRET
from mcppool_operator.rotation import (
    ROTATE,
    SLOTS,
    KeyState,
    SealingKey,
    Wishes,
    accepted,
    advanced,
    due_in,
    read_state,
    written_state,
)
from mcppool_operator.sealing import KeyKeeper
from mcppool_operator.work import Work

AGAIN: Final = 5.0
"""Seconds between tries to create a Secret whose predecessor of the same name may not be gone yet."""

COLLECTED: Final = 60.0
"""Seconds in which Kubernetes deletes the Secret of a deleted description."""

TAKEN_AGAIN: Final = 5.0
"""Seconds until the next look at a Secret that has the name of the next one."""


def wishes(pool: Object, resource: Resource) -> Wishes:
    """Return the rotation of keys that a pool asks for."""
    asked = str((pool["metadata"].get("annotations") or {}).get(ROTATE, ""))
    return Wishes(
        every=resource.gateway.sealing_keys.rotate_every,
        asked=hashlib.sha256(asked.encode()).hexdigest()[:16] if asked else "",
        age=resource.pool.sessions.max_age,
    )


class KeyRotation:
    """The rotations of all pools. `seen` returns the last answers of a pool's gateways."""

    def __init__(
        self, keeper: KeyKeeper, seen: Callable[[str], Sync | None], clock: Callable[[], float] = time.time
    ) -> None:
        self._keeper = keeper
        self._seen = seen
        self._clock = clock
        self._states: dict[str, tuple[str, KeyState]] = {}  # by key: the pool's uid, and its written state
        self._accepted: dict[str, tuple[str, float]] = {}  # by key: the next key's id, and since when all accept it

    def forget(self, key: str) -> None:
        """Forget a deleted pool."""
        self._states.pop(key, None)
        self._accepted.pop(key, None)

    def last(self, work: Work) -> KeyState:
        """Return the state that was written last."""
        known = self._states.get(work.key)
        if known is not None and known[0] == work.owner.uid:
            return known[1]  # also if somebody has removed the ConfigMap
        live = work.ours((CONFIG_MAP, work.owner.config_name))
        return read_state(((live or {}).get("metadata") or {}).get("annotations") or {}, work.created)

    async def state(self, work: Work) -> KeyState:
        """Return the state that the next snapshot has. Raises PublishError."""
        now = self._clock()
        before = self.last(work)
        after = advanced(before, work.wishes, now, self._accepted_since(work, before, now), new_key_id())
        if after.next is not None and after.next != before.next:
            slot, owner = after.next.slot, work.owner
            free = await work.applier.asked(SECRET, owner.slot_name(slot), self._keeper.free(owner, slot))
            if not free:
                work.outcome.keys_wait = (
                    f'the Secret "{owner.slot_name(slot)}" exists: a rotation waits until it is gone'
                )
                work.outcome.due.append(TAKEN_AGAIN)
                after = advanced(before, Wishes(None, before.asked, work.wishes.age), now, None, "")
        return after

    def written(self, work: Work, state: KeyState) -> None:
        """Note that a state is in the ConfigMap."""
        self._states[work.key] = work.owner.uid, state
        work.outcome.keys = shown(state, work.outcome.keys_wait)
        work.outcome.next_key = state.next.id if state.next is not None else ""
        since = self._accepted.get(work.key, ("", 0.0))
        at = since[1] if state.next is not None and since[0] == state.next.id else None
        due = due_in(state, work.wishes, self._clock(), at)
        if due is not None:
            work.outcome.due.append(due)

    async def bring(self, work: Work, state: KeyState) -> None:
        """Create the objects that rotated keys need, and remove those of expired keys."""
        if not written_state(state):
            return
        for slot in SLOTS:
            try:
                await self._bring(work, slot, state.used.get(slot))
            except PublishError as error:
                work.outcome.failures.append(error)
                work.outcome.extras = work.outcome.extras or error

    async def _bring(self, work: Work, slot: int, key: SealingKey | None) -> None:
        owner = work.owner
        place = CONFIG_MAP, owner.slot_name(slot)
        await work.read(place)
        live = work.ours(place)
        if key is None or (live is not None and (live.get("data") or {}).get(KEY_ID) != key.id):
            self._keeper.drop(owner, slot)
            await work.bring(Child(*place, None))
            if key is not None:
                work.outcome.due.append(1.0)
            return
        await work.bring(Child(*place, description(owner, key)))
        live = work.ours(place)
        if live is None:
            return
        sync = self._seen(work.key)
        fresh = self._clock() - _created(live) < COLLECTED
        if fresh or sync is None or key.id not in sync.key_ids:
            created = await work.applier.asked(
                SECRET, owner.slot_name(slot), self._keeper.rotated(owner, key, live["metadata"]["uid"])
            )
            if not created:
                work.outcome.due.append(AGAIN if fresh else COLLECTED)

    def _accepted_since(self, work: Work, state: KeyState, now: float) -> float | None:
        sync = self._seen(work.key)
        if sync is None and state.next is not None:
            return None  # not asked yet since the last change
        if sync is None or state.next is None or not accepted(state, sync.key_ids, ending=sync.ending, now=now):
            self._accepted.pop(work.key, None)
            return None
        known = self._accepted.get(work.key)
        if known is None or known[0] != state.next.id:
            known = self._accepted[work.key] = state.next.id, now
        return known[1]


def shown(state: KeyState, waits: str | None = None) -> Mapping[str, Any] | None:
    """Return the keys in a pool's status; None for a pool whose keys never changed. Pure."""
    if not written_state(state) and waits is None:
        return None
    first = state.keys[0]
    return {
        **({"id": first.id} if first.id else {}),
        "since": _moment(state.since),
        **({"next": state.next.id} if state.next is not None else {}),
        "accepted": len(state.all),
        **({"message": waits} if waits is not None else {}),
    }


def _created(obj: Object) -> float:
    return datetime.datetime.fromisoformat(obj["metadata"]["creationTimestamp"]).timestamp()


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
