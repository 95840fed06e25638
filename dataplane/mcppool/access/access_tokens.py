"""Rules for access tokens: their required claims, and the principal of their claims. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from mcppool.access.denied import Denied
from mcppool.access.principal_keys import principal_key
from mcppool.policy.principal import Method, Principal

MAX_TOKEN: Final = 16 * 1024
"""Upper bound in bytes on a token."""
_CLIENT_CLAIMS: Final = ("client_id", "azp", "cid", "appid")
"""Claims with the client that got the token: of RFC 9068, OpenID Connect, Okta, Microsoft Entra 1.0."""
MAX_WORDS: Final = 1024
"""Upper bound on the stored scopes or groups of a token."""


def check_type(header: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    """Refuse a token of another type (RFC 9068 §4): an ID token is no access token. Raises Denied."""
    value = header.get("typ", "JWT")
    if not isinstance(value, str) or _type(value) not in {_type(word) for word in allowed}:
        raise Denied("invalid", f"the token is not of type {' or '.join(allowed)}")


def principal_of(
    claims: Mapping[str, Any],
    method: Method,
    *,
    subject_claim: str,
    groups_claim: str,
    skew: float,
    token_hash: str,
) -> Principal:
    """The principal of verified claims. Raises Denied if they name none."""
    issuer, subject = str(claims.get("iss", "")), claims.get(subject_claim)
    if not isinstance(subject, str) or not subject:
        raise Denied("invalid", f"the token has no {subject_claim} claim")
    clients = [claims[name] for name in _CLIENT_CLAIMS if isinstance(claims.get(name), str)]
    client_id = clients[0] if clients else ""
    return Principal(
        principal_key(method, issuer, subject, client_id),
        method,
        issuer=issuer,
        subject=subject,
        client_id=client_id,
        groups=frozenset(_words(claims.get(groups_claim), split=False)),
        scopes=frozenset([*_words(claims.get("scope"), split=True), *_words(claims.get("scp"), split=True)]),
        claims=MappingProxyType(dict(claims)),
        expires_at=_expiry(claims.get("exp"), skew),
        token_hash=token_hash,
    )


def _expiry(value: Any, skew: float) -> float | None:
    """The end of a token's validity. Raises Denied if it is not a time."""
    if value is None:
        return None
    try:
        expires = float(value) + skew
    except (ValueError, TypeError, OverflowError):
        expires = math.nan
    if not math.isfinite(expires):
        raise Denied("invalid", "the token's exp claim is not a time")
    return expires


def _words(value: Any, *, split: bool) -> list[str]:
    """The strings of a claim: a list, or one string, which for scopes is a list (RFC 8693 §4.2)."""
    if isinstance(value, str):
        return value.split()[:MAX_WORDS] if split else [value]
    if isinstance(value, list):
        return [word for word in value[:MAX_WORDS] if isinstance(word, str)]
    return []


def _type(value: str) -> str:
    return value.lower().removeprefix("application/")
