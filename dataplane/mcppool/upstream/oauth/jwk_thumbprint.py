"""The thumbprint of a public key (RFC 7638), which names the key whoever writes it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}
"""Members of a key that count for its thumbprint (RFC 7638 §3.2, RFC 8037 §2), in their order."""


def canonical_members(jwk: Any) -> str:
    """The public members of a JSON Web Key, in the form that the thumbprint is computed from.

    Raises ValueError if it is no public key, or lacks a member.
    """
    names = _MEMBERS.get(kind) if isinstance(jwk, Mapping) and isinstance(kind := jwk.get("kty"), str) else None
    if names is None:
        raise ValueError(f"is not a public key of type {', '.join(_MEMBERS)}")
    members = {name: jwk.get(name) for name in names}
    if not all(isinstance(value, str) for value in members.values()):
        raise ValueError("lacks a member")
    return json.dumps(members, separators=(",", ":"))


def thumbprint(members: str) -> str:
    """The thumbprint of the key with these `canonical_members`."""
    digest = hashlib.sha256(members.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
