"""The Secret with the keys that seal session ids, so that every gateway of a pool can open the ids of the others.

It is created once and never read back. The file has one key per line, `ID:SECRET`, where the secret is 32 random bytes
in base64; the first line mints, all of them open.
"""

from __future__ import annotations

import base64
import secrets
import time
from typing import Any

from mcppool_operator.children import SEALING_KEY, Owner
from mcppool_operator.resources import SECRET


def new_key() -> str:
    """Return one line of a key file: a new key, named after the day of its creation (UTC)."""
    day = time.strftime("%Y%m%d", time.gmtime())
    return f"{day}-{secrets.token_hex(3)}:{base64.b64encode(secrets.token_bytes(32)).decode()}\n"


def sealing_keys(owner: Owner) -> dict[str, Any]:
    """Return the Secret with a key file of one new key."""
    data = {SEALING_KEY: base64.b64encode(new_key().encode()).decode()}
    return owner.child(SECRET, owner.keys_name, type="Opaque", data=data)
