"""The DPoP header of a request (RFC 9449). `dpop` verifies it, with libraries that only pools with DPoP load."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

ALGORITHMS: Final = ("ES256", "ES384", "ES512", "EdDSA", "PS256", "RS256")
"""Signatures of proofs that are accepted; all of them are with a key pair."""


class SharedProofs(Protocol):
    """The proofs that all gateways of a pool have seen."""

    async def first_use(self, digest: bytes, seconds: int) -> bool | None:
        """Note a proof for so many seconds; returns whether no gateway has seen it. None if that is not known."""


class ShownProof(NamedTuple):
    """The `DPoP` header of a request, None if it has none, and the request's method and URL as its client typed it."""

    value: str | None
    method: str
    url: str
    shared: SharedProofs | None = None
