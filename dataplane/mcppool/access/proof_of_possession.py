"""Tokens that are bound to a key of their client (RFC 7800): useless without that key."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Any

from mcppool.access.denied import Denied


def check_binding(claims: Mapping[str, Any], thumbprint: bytes) -> bool:
    """Whether the token is bound to the certificate with this SHA-256 (RFC 8705). Raises Denied for any other binding,
    known or unknown."""
    binding = claims.get("cnf")
    if binding is None:
        return False
    said = binding.get("x5t#S256") if isinstance(binding, Mapping) and len(binding) == 1 else None
    if not isinstance(said, str):
        raise Denied("invalid", "the token is bound to a key, and comes without a proof of it")
    shown = base64.urlsafe_b64encode(thumbprint).rstrip(b"=") if thumbprint else b""
    if not hmac.compare_digest(said.rstrip("=").encode("utf-8", "surrogatepass"), shown):
        raise Denied("invalid", "the token is bound to another certificate than the client's")
    return True
