"""The Secrets with the keys that seal session ids, so that every gateway of a pool can open the ids of the others.

They are created and never read back. A file has one key per line, `ID:SECRET`, where the secret is 32 random bytes in
base64. The first Secret belongs to the pool. One of a rotation belongs to a ConfigMap of its name, which describes the
key: with the ConfigMap, Kubernetes deletes the Secret, so that the operator needs no right to delete Secrets.
"""

from __future__ import annotations

import base64
import secrets
import time
from typing import Any, Final

from mcppool_operator.children import KEYS_DIRECTORY, SEALING_KEY, Owner
from mcppool_operator.resources import CONFIG_MAP, SECRET
from mcppool_operator.rotation import SLOTS, KeyState, SealingKey

KEY_ID: Final = "id"
"""The key of a description's data with the id of the sealing key."""


def new_key_id() -> str:
    """Return the id of a new key: the day (UTC), and a random part."""
    return f"{time.strftime('%Y%m%d', time.gmtime())}-{secrets.token_hex(3)}"


def new_key(id: str) -> str:
    """Return one line of a key file: a new secret with this id."""
    return f"{id}:{base64.b64encode(secrets.token_bytes(32)).decode()}\n"


def sealing_keys(owner: Owner, slot: int = 0) -> dict[str, Any]:
    """Return the Secret with a key file of one new key, as the pool's own."""
    return owner.child(SECRET, owner.slot_name(slot), type="Opaque", data=_data(new_key_id()))


def rotated_keys(owner: Owner, key: SealingKey, description: str) -> dict[str, Any]:
    """Return the Secret with a key of a rotation, which belongs to the ConfigMap with the uid `description`."""
    secret = owner.child(SECRET, owner.slot_name(key.slot), type="Opaque", data=_data(key.id))
    secret["metadata"]["ownerReferences"] = [
        {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "name": owner.slot_name(key.slot),
            "uid": description,
            "controller": True,
        }
    ]
    return secret


def description(owner: Owner, key: SealingKey) -> dict[str, Any]:
    """Return the ConfigMap that describes a key of a rotation."""
    return owner.child(CONFIG_MAP, owner.slot_name(key.slot), data={KEY_ID: key.id})


def key_file(slot: int) -> str:
    """Return the file of a slot's key in the gateways."""
    return f"{KEYS_DIRECTORY}/{_file(slot)}"


def keys_in_snapshot(state: KeyState) -> dict[str, Any]:
    """Return the settings of the listener about sealing keys."""
    first, *others = (key_file(key.slot) for key in state.all)
    return {"sealing_keys": first, "accepted_keys": tuple(others)}


def keys_volume(owner: Owner) -> dict[str, Any]:
    """Return the volume with the files of all slots. Those of rotations appear and vanish while gateways run."""
    sources = [
        {
            "secret": {
                "name": owner.slot_name(slot),
                "items": [{"key": SEALING_KEY, "path": _file(slot)}],
                **({"optional": True} if slot else {}),
            }
        }
        for slot in (0, *SLOTS)
    ]
    return {"name": "keys", "projected": {"defaultMode": 0o440, "sources": sources}}


def _file(slot: int) -> str:
    return f"{SEALING_KEY}-{slot}" if slot else SEALING_KEY


def _data(id: str) -> dict[str, str]:
    return {SEALING_KEY: base64.b64encode(new_key(id).encode()).decode()}
