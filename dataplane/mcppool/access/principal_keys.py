"""Keys of principals: short, unambiguous, and without the names that they stand for."""

from __future__ import annotations

import base64
import hashlib
import json

from mcppool.policy.principal import Method


def principal_key(method: Method, *parts: str) -> str:
    """The key of the principal that these parts identify. Different parts have different keys; all keys have the same
    length, whatever the claims of an issuer."""
    text = json.dumps(parts, separators=(",", ":")).encode()
    digest = hashlib.sha256(text).digest()[:24]
    return f"{method}:{base64.urlsafe_b64encode(digest).decode()}"
