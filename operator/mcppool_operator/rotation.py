"""Rotation of a pool's sealing keys: which key seals, which ones open, and the next step. Pure.

Keys have slots: slot 0 is the Secret that the operator makes with the pool; rotations use slots 1 and 2 in turn. A new
key is first accepted by all gateways, then seals, and is accepted for as long as an id that it has sealed can be
valid. The state is in an annotation of the pool's ConfigMap. It names keys and holds no secret.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

STATE: Final = "mcppool.dev/sealing-keys"
"""Annotation of the ConfigMap: the state of the keys, as JSON."""

ROTATE: Final = "mcppool.dev/rotate-sealing-keys"
"""Annotation of a pool: each new value asks for one rotation."""

SLOTS: Final = (1, 2)

SETTLE: Final = 5.0
"""Seconds that all gateways have accepted a key before it seals: a gateway of several processes answers for one of
them, and the others read the file within 2 s."""

MARGIN: Final = 60.0
"""Seconds that a key is accepted beyond the validity of its ids: clocks differ."""

GONE: Final = 600.0
"""Seconds from the begin of a rotation after which gateways that terminate no longer hold it up."""


@dataclass(frozen=True, slots=True)
class SealingKey:
    """One key."""

    slot: int
    id: str = ""  # in slot 0 unknown: the operator does not read Secrets
    made: float = 0.0
    """When its rotation began, in Unix seconds."""
    until: float = math.inf
    """When the last id that it has sealed expires."""


FIRST: Final = SealingKey(0)


@dataclass(frozen=True, slots=True)
class KeyState:
    """The keys of a pool. `keys`: the first one seals, all of them open; `next` opens already, and will seal."""

    keys: tuple[SealingKey, ...] = (FIRST,)
    next: SealingKey | None = None
    since: float = 0.0  # when the first one began to seal
    age: float = 0.0  # the longest validity of its ids
    asked: str = ""  # the value of ROTATE that was followed last

    @property
    def all(self) -> tuple[SealingKey, ...]:
        """Every key that gateways accept."""
        return (*self.keys, *((self.next,) if self.next is not None else ()))

    @property
    def used(self) -> dict[int, SealingKey]:
        """The keys of rotations, by slot."""
        return {key.slot: key for key in self.all if key.slot in SLOTS}


UNCHANGED: Final = KeyState()
"""The keys of a pool without a rotation."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """Requests of a pool: seconds between rotations, the value of ROTATE, and the validity of session ids."""

    every: float | None
    asked: str
    age: float


def read_state(annotations: Mapping[str, str], created: float) -> KeyState:
    """Return the state from the annotations of the ConfigMap; without one, that of a pool which was created then."""
    try:
        found = json.loads(annotations[STATE])
        keys = tuple(_key(entry) for entry in found["keys"])
        following = found.get("next")
        return KeyState(
            keys=keys or (FIRST,),
            next=_key(following) if following else None,
            since=float(found["since"]),
            age=float(found.get("age", 0.0)),
            asked=str(found.get("asked", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return KeyState(since=created)


def written_state(state: KeyState) -> dict[str, str]:
    """Return the annotation with a state; nothing for a pool whose keys never changed."""
    if state.next is None and state.keys == (FIRST,) and not state.asked:
        return {}
    found = {"keys": [_entry(key) for key in state.keys], "since": state.since, "age": state.age}
    found |= {"next": _entry(state.next)} if state.next is not None else {}
    found |= {"asked": state.asked} if state.asked else {}
    return {STATE: json.dumps(found, separators=(",", ":"))}


def advanced(state: KeyState, wishes: Wishes, now: float, accepted_since: float | None, new_id: str) -> KeyState:
    """Return the state after its next step, if one is due.

    `accepted_since`: when all gateways were first known to accept `state.next`; `new_id`: for the key of a new
    rotation.
    """
    kept = tuple(key for key in state.keys if key.until > now)
    state = replace(state, keys=kept, age=max(state.age, wishes.age) if _rotates(state, wishes) else state.age)
    if state.next is not None:
        if accepted_since is None or now - accepted_since < SETTLE:
            return state
        before, *others = state.keys
        before = replace(before, until=now + state.age + MARGIN)
        return replace(state, keys=(replace(state.next), before, *others), next=None, since=now, age=wishes.age)
    free = _free(state)
    if free is None or not _is_due(state, wishes, now):
        return state
    return replace(state, next=SealingKey(free, new_id, now), asked=wishes.asked or state.asked)


def due_in(state: KeyState, wishes: Wishes, now: float, accepted_since: float | None) -> float | None:
    """Return the seconds until the next step is due; None: no time brings it."""
    times = [key.until for key in state.keys if key.until < math.inf]
    if state.next is not None:
        times += [accepted_since + SETTLE] if accepted_since is not None else []
    elif wishes.every is not None and _free(state) is not None:
        times.append(state.since + wishes.every)
    return max(0.0, min(times) - now) if times else None


def accepted(state: KeyState, ids: Collection[str], *, ending: bool, now: float) -> bool:
    """Return whether all gateways accept the next key; `ids` are those that all ready gateways report, `ending`:
    gateways terminate, and may serve clients of others until then."""
    following = state.next
    return following is not None and following.id in ids and (not ending or now - following.made > GONE)


def _rotates(state: KeyState, wishes: Wishes) -> bool:
    """Return whether the keys change at all: for other pools nothing is written."""
    return wishes.every is not None or wishes.asked != "" or state != KeyState(since=state.since)


def _is_due(state: KeyState, wishes: Wishes, now: float) -> bool:
    return (wishes.asked not in ("", state.asked)) or (wishes.every is not None and now >= state.since + wishes.every)


def _free(state: KeyState) -> int | None:
    return next((slot for slot in SLOTS if slot not in state.used), None)


def _entry(key: SealingKey) -> dict[str, Any]:
    return {name: value for name, value in asdict(key).items() if value not in ("", 0.0, math.inf) or name == "slot"}


def _key(entry: Mapping[str, Any]) -> SealingKey:
    return SealingKey(
        slot=int(entry["slot"]),
        id=str(entry.get("id", "")),
        made=float(entry.get("made", 0.0)),
        until=float(entry.get("until", math.inf)),
    )
