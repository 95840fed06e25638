"""The credential in a header of a request."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

DPOP: Final = "dpop"
"""The scheme of `Authorization` for tokens that come with a DPoP proof (RFC 9449)."""


class Credential(NamedTuple):
    """A credential as the client sent it. `scheme` is in lower case, and empty if the header holds only the credential.

    `digest` is the SHA-256 of the token: tables are keyed by it, so that no table holds a credential.
    """

    scheme: str
    token: str
    digest: bytes
    certificate: bytes = b""
    """SHA-256 of the client's TLS certificate, if it has sent one."""


def bearer_token(headers: Mapping[str, str], certificate: bytes) -> Credential | None:
    """The credential in `Authorization`, from a client with this certificate."""
    value = headers.get("authorization")
    found = read_credential(value, scheme=True) if value is not None else None
    return found._replace(certificate=certificate) if found is not None and certificate else found


def bound_to(credential: Credential) -> bytes:
    """The key in tables of a token that is bound to a key of the client: never that of the token alone."""
    return credential.digest + (DPOP.encode() if credential.scheme == DPOP else credential.certificate)


def read_credential(value: str, *, scheme: bool) -> Credential | None:
    """The credential in a header's value, `SCHEME TOKEN` or the token alone; None if it is neither."""
    name, token = "", value.strip()
    if scheme:
        name, _, token = token.partition(" ")
        token = token.strip()
    if not token or not token.isascii() or " " in token:
        return None
    return Credential(name.lower(), token, hashlib.sha256(token.encode()).digest())
