"""The private key of the gateway's signatures.

`cryptography` is imported where a key is loaded: its parts for keys take 3 MB that only some gateways need.
"""

from __future__ import annotations

from typing import Any, Final

from mcppool.small_file import read_small_file
from mcppool.upstream.oauth.token_response import TokenUnavailable

MAX_FILE: Final = 64 * 1024  # bytes of a secret or a key
_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
MIN_RSA: Final = 2048  # bits


def load_key(path: str) -> Any:
    """The private key in a PEM file. Raises TokenUnavailable, which reveals nothing of the file."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = read_credential(path)
    try:
        key = load_pem_private_key(data, password=None)
        algorithm_of(key)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        why = str(error) if isinstance(error, UnusableKey) else "it is no PEM file with an unencrypted private key"
        raise TokenUnavailable(f"the key in the file {path} cannot be used: {why}") from None
    return key


class UnusableKey(ValueError):
    """A key of a kind that is not used for signatures here."""


def algorithm_of(key: Any) -> str:
    """The JWS algorithm for a private key. Raises UnusableKey."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    if isinstance(key, EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, Ed25519PrivateKey):
        return "EdDSA"
    if isinstance(key, RSAPrivateKey):
        if key.key_size < MIN_RSA:
            raise UnusableKey(f"an RSA key has at least {MIN_RSA} bits")
        return "RS256"
    raise UnusableKey("it is no key for RSA, Ed25519 or ECDSA on P-256, P-384 or P-521")


def read_credential(path: str) -> bytes:
    """The content of a file with a secret or a key. Raises TokenUnavailable."""
    try:
        data = read_small_file(path, MAX_FILE + 1)
    except OSError as error:
        raise TokenUnavailable(f"the file {path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise TokenUnavailable(f"the file {path} has more than {MAX_FILE} bytes")
    return data
