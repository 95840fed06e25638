"""The Secrets that a pool refers to, mounted key by key: other keys are not in the pod."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from mcppool.spec.secret_refs import SecretKey


def secret_volume(keys: Iterable[SecretKey]) -> dict[str, Any]:
    """Return the volume with a file for each key, `SECRET/KEY`; pods wait until all of them exist."""
    sources = [
        {
            "secret": {
                "name": secret,
                "items": [{"key": entry.key, "path": f"{secret}/{entry.key}"} for entry in entries],
            }
        }
        for secret, entries in groupby(sorted(keys), key=lambda entry: entry.secret)
    ]
    return {"name": "secrets", "projected": {"defaultMode": 0o440, "sources": sources}}
