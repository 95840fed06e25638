"""Tokens that are bound to a key of their client (RFC 7800): useless without that key."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Collection, Mapping
from typing import Any, Final

from mcppool.access.credential import DPOP, Credential
from mcppool.access.denied import Denied

BEARER: Final = frozenset({"bearer"})
"""Schemes of `Authorization` for tokens if DPoP is off."""
_NAMES: Final = {"bearer": "Bearer", DPOP: "DPoP"}


def check_scheme(credential: Credential, schemes: Collection[str]) -> None:
    """Refuse another scheme than these. Raises Denied."""
    if credential.scheme not in schemes:
        names = " or ".join(_NAMES[scheme] for scheme in sorted(schemes))
        raise Denied("invalid", f"the scheme of Authorization is not {names}")


def check_binding(claims: Mapping[str, Any], credential: Credential) -> bool:
    """Whether the token is bound to the client's certificate (RFC 8705), or to a key of which a DPoP proof is still to
    be verified (RFC 9449). Raises Denied for any other binding, known or unknown."""
    binding = claims.get("cnf")
    if credential.scheme == DPOP:
        if not thumbprint_of(claims):
            raise Denied("invalid", "the token is not bound to a key for DPoP")
        return True
    if binding is None:
        return False
    said = binding.get("x5t#S256") if isinstance(binding, Mapping) and len(binding) == 1 else None
    if not isinstance(said, str):
        raise Denied("invalid", "the token is bound to a key, and comes without a proof of it")
    shown = base64.urlsafe_b64encode(credential.certificate).rstrip(b"=") if credential.certificate else b""
    if not hmac.compare_digest(said.rstrip("=").encode("utf-8", "surrogatepass"), shown):
        raise Denied("invalid", "the token is bound to another certificate than the client's")
    return True


def thumbprint_of(claims: Mapping[str, Any]) -> str:
    """The thumbprint (RFC 7638) of a token's key for DPoP; empty if the token is bound to none."""
    binding = claims.get("cnf")
    said = binding.get("jkt") if isinstance(binding, Mapping) and len(binding) == 1 else None
    return said if isinstance(said, str) else ""
