"""Sealed values that leave the process and come back: entries of Redis, and values that clients hold.

A vault belongs to one secret and one purpose. Each value is sealed under a key of its own (HMAC-SHA-256 of the vault's
key and a salt of 128 bits, then AES-256-GCM), so a vault may seal any number of values. The context `about`, such as
the name under which it is stored, is authenticated with it: a value that was moved elsewhere does not open.
"""

from __future__ import annotations

import hmac
import os
from typing import Final

from mcppool.wire.sealing import KeyRing

_VERSION: Final = b"\x01"
_SALT: Final = 16
_TAG: Final = 16
_NONCE: Final = bytes(12)  # each key seals one value

OVERHEAD: Final = len(_VERSION) + _SALT + _TAG
"""Bytes that sealing adds to a value."""


class Vault:
    """Seals and opens values, and gives them names that reveal nothing."""

    __slots__ = ("_naming", "_sealing")

    def __init__(self, secret: bytes, purpose: bytes) -> None:
        self._sealing = hmac.digest(secret, b"mcppool vault 1 seal\0" + purpose, "sha256")
        self._naming = hmac.digest(secret, b"mcppool vault 1 name\0" + purpose, "sha256")

    def name(self, of: bytes) -> str:
        """A name that looks random without the secret; 64 hex digits."""
        return hmac.digest(self._naming, of, "sha256").hex()

    def seal(self, value: bytes, about: bytes, *, same: bool = False) -> bytes:
        """The sealed value, readable only with the secret and the context `about`.

        `same`: equal values with the same context have equal seals, because the salt is made of both. An observer of
        two of them learns whether they are equal, and nothing else.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # here: it costs 6 MB that few processes need

        if same:
            whole = b"salt\0%d\0%b%b" % (len(about), about, value)
            salt = hmac.digest(self._naming, whole, "sha256")[:_SALT]
        else:
            salt = os.urandom(_SALT)
        key = hmac.digest(self._sealing, salt, "sha256")
        return _VERSION + salt + AESGCM(key).encrypt(_NONCE, value, about)

    def open(self, sealed: bytes, about: bytes) -> bytes | None:
        """The sealed value; None if it was not sealed with this key and context."""
        if len(sealed) < OVERHEAD or not sealed.startswith(_VERSION):
            return None
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        key = hmac.digest(self._sealing, sealed[1 : 1 + _SALT], "sha256")
        try:
            return AESGCM(key).decrypt(_NONCE, sealed[1 + _SALT :], about)
        except InvalidTag:
            return None


class Vaults:
    """The vaults of one purpose, one for each key of a ring. `first` seals; all of them open."""

    __slots__ = ("_by_key", "all", "first")

    def __init__(self, ring: KeyRing, purpose: bytes) -> None:
        self._by_key = {key.id: Vault(key.secret, purpose) for key in ring.keys}
        self.all = tuple(self._by_key.values())
        self.first = self.all[0]

    def of(self, key_id: str) -> Vault:
        """The vault of a key, the first one if that key is no longer in the ring."""
        return self._by_key.get(key_id, self.first)
