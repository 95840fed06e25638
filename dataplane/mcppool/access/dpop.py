"""DPoP (RFC 9449): with each request, a client proves that it holds the key of its access token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from mcppool.access.credential import Credential
from mcppool.access.denied import Denied
from mcppool.access.dpop_header import ALGORITHMS, ShownProof
from mcppool.access.dpop_nonces import Nonces
from mcppool.access.dpop_replays import RETRY_AFTER, UsedProofs
from mcppool.access.proof_of_possession import thumbprint_of
from mcppool.access.verification_keys import VerificationKey, read_key
from mcppool.policy.principal import Principal
from mcppool.upstream.oauth.jwk_thumbprint import canonical_members, thumbprint

MAX_AGE: Final = 60
"""Allowed difference in seconds between the time of a proof and the gateway's, in both directions."""
MAX_PROOF: Final = 8 * 1024
"""Upper bound in bytes on a proof."""
MAX_RSA_BITS: Final = 4096
"""Upper bound on the size of an RSA key: verification with larger ones is slow."""
KEPT_KEYS: Final = 1024
"""Keys of clients that are kept, so that not every proof costs the reading of its key."""
_REFERENCES: Final = frozenset({"jku", "x5u", "x5c", "crit", "b64"})
"""Header members of a proof that refer to other keys, or change how it is read."""
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
_UNREADABLE: Final = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


class Proofs:
    """Verifies the proofs of one pool's clients. With `nonces`, each proof needs one of them."""

    def __init__(self, used: UsedProofs, nonces: Nonces | None) -> None:
        self._used = used
        self.nonces = nonces

    async def verify(self, shown: ShownProof, credential: Credential, principal: Principal, now: float) -> None:
        """Verify that the request comes from the holder of the token's key. Raises Denied."""
        if shown.value is None:
            raise _bad("the request has no DPoP header")
        bound_to = thumbprint_of(principal.claims)
        claims = _verified(shown.value, bound_to)
        issued = _check(claims, shown, credential, now)
        if self.nonces is not None and not self.nonces.accepts(claims.get("nonce"), now):
            raise Denied("nonce", "the proof needs a nonce of the gateway")
        digest = hashlib.sha256(f"{bound_to}\0{shown.url}\0{claims['jti']}".encode("utf-8", "surrogatepass")).digest()
        first = self._used.first_use(digest, issued + MAX_AGE, now, principal.key)
        if first is None:
            raise Denied("unavailable", "too many proofs are remembered", retry_after=RETRY_AFTER)
        if first and shown.shared is not None:
            first = await shown.shared.first_use(digest, 2 * MAX_AGE) is not False
        if not first:
            raise _bad("the proof has been used before")


def _verified(proof: str, bound_to: str) -> dict[str, Any]:
    """The claims of a proof that the key with this thumbprint has signed. Raises Denied."""
    if len(proof) > MAX_PROOF:
        raise _bad(f"the proof has more than {MAX_PROOF} bytes")
    try:
        header = jwt.get_unverified_header(proof)
    except _UNREADABLE:
        raise _bad("the proof is not a signed JWT") from None
    if header.get("typ") != "dpop+jwt":
        raise _bad("the proof is not of type dpop+jwt")
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise _bad(f"the proof's algorithm is not {' or '.join(ALGORITHMS)}")
    if not _REFERENCES.isdisjoint(header):
        raise _bad("the proof's header has a member that is not allowed")
    members = _public_members(header.get("jwk"))
    if not hmac.compare_digest(thumbprint(members).encode(), bound_to.encode("utf-8", "surrogatepass")):
        raise Denied("invalid", "the token is bound to another key than the proof's")
    key = _key(members)  # only now: keys that no issuer has bound cost nothing
    if key is None or not key.verifies(algorithm):
        raise _bad("the proof's key does not suit its algorithm, or is too weak or too large")
    try:
        claims: dict[str, Any] = jwt.decode(
            proof,
            key.key,
            algorithms=[algorithm],
            options={"require": ["jti", "htm", "htu", "iat"], "verify_aud": False, "verify_iat": False},
            leeway=MAX_AGE,
        )
    except _UNREADABLE:
        raise _bad("the proof's signature or claims do not hold") from None
    return claims


def _check(claims: Mapping[str, Any], shown: ShownProof, credential: Credential, now: float) -> int:
    """Check that a proof is for this request, this token and this time; returns its second. Raises Denied."""
    if claims["htm"] != shown.method:
        raise _bad(f"the proof's htm is not {shown.method}")
    if not shown.url or _normal(claims["htu"]) != _normal(shown.url):
        raise _bad(f"the proof's htu is not {shown.url}")
    ath = claims.get("ath")
    if not isinstance(ath, str) or ath != base64.urlsafe_b64encode(credential.digest).rstrip(b"=").decode():
        raise _bad("the proof's ath is not the hash of the token")
    issued = claims["iat"]
    if isinstance(issued, bool) or not isinstance(issued, int | float) or not now - MAX_AGE <= issued <= now + MAX_AGE:
        raise _bad(f"the proof's iat is not within {MAX_AGE} s of the gateway's time")
    if not isinstance(claims["jti"], str) or not claims["jti"]:
        raise _bad("the proof's jti is not a string")
    return int(issued)


def _public_members(jwk: Any) -> str:
    """The public members of a key, in the form that its thumbprint is computed from. Raises Denied."""
    try:
        members = canonical_members(jwk)
    except ValueError as error:
        raise _bad(f"the proof's jwk {error}") from None
    if not _PRIVATE.isdisjoint(jwk):
        raise _bad("the proof's jwk has private members")
    return members


@lru_cache(KEPT_KEYS)
def _key(members: str) -> VerificationKey | None:
    """The key of these members; None if it is unusable."""
    key = read_key(json.loads(members))
    if key is None or (isinstance(key.key, rsa.RSAPublicKey) and key.key.key_size > MAX_RSA_BITS):
        return None
    return key


def _normal(url: Any) -> tuple[str, str, int, str] | None:
    """A URL without query and fragment, in one form of those that mean the same (RFC 3986 §6.2)."""
    if not isinstance(url, str) or not url.isascii():
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if port is None:
        port = {"http": 80, "https": 443}.get(parts.scheme, 0)
    if "@" in parts.netloc:
        return None
    return parts.scheme, host, port, parts.path.removesuffix("/")


def _bad(detail: str) -> Denied:
    return Denied("proof", detail)
