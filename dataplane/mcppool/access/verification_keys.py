"""Public keys of an issuer, from a JSON Web Key Set (RFC 7517)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

MAX_KEYS: Final = 100
MIN_RSA_BITS: Final = 2048
_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}


class VerificationKey(NamedTuple):
    """One public key. `kid` and `algorithm` are empty if the set does not give them."""

    kid: str
    algorithm: str
    key: Any
    thumbprint: str

    def verifies(self, algorithm: str) -> bool:
        """Whether the key is of the kind that the algorithm needs, and the issuer does not use it for another one."""
        if self.algorithm not in ("", algorithm):
            return False
        if algorithm in _CURVES:
            return isinstance(self.key, ec.EllipticCurvePublicKey) and self.key.curve.name == _CURVES[algorithm]
        if algorithm == "EdDSA":
            return isinstance(self.key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)
        return isinstance(self.key, rsa.RSAPublicKey)


def read_key_set(document: bytes) -> tuple[VerificationKey, ...]:
    """The usable keys of a set: public, for signatures, of a known kind, and not too weak.

    Raises ValueError if it is not a key set, or has no usable key.
    """
    try:
        entries = json.loads(document)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError('is not a JSON Web Key Set: {"keys": […]}') from None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError(f"is not a list of up to {MAX_KEYS} keys")
    keys = tuple(key for entry in entries if (key := read_key(entry)) is not None)
    if not keys:
        raise ValueError(f"has no usable key: RSA of {MIN_RSA_BITS} bits or more, EC or OKP, for signatures")
    return keys


def matching(keys: Sequence[VerificationKey], kid: str | None, algorithm: str) -> list[VerificationKey]:
    """The keys that may have signed a token with this header; without a `kid`, all of the right kind."""
    return [key for key in keys if (kid is None or key.kid == kid) and key.verifies(algorithm)]


def read_key(entry: Any) -> VerificationKey | None:
    """The key of a JSON Web Key; None if it is not usable."""
    if not isinstance(entry, dict) or entry.get("kty") not in ("RSA", "EC", "OKP"):
        return None  # everybody could sign with a symmetric key in a public set
    if entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    operations = entry.get("key_ops")
    if isinstance(operations, list) and "verify" not in operations:
        return None
    try:
        key = jwt.PyJWK(entry).key
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        return None
    kid, algorithm = entry.get("kid"), entry.get("alg")
    public = {name: entry.get(name) for name in ("kty", "n", "e", "crv", "x", "y")}
    return VerificationKey(
        kid if isinstance(kid, str) else "",
        algorithm if isinstance(algorithm, str) else "",
        key,
        json.dumps(public, sort_keys=True, default=str),
    )
