"""Nonces for DPoP proofs (RFC 9449 §9): made of the time and a secret, so that nothing is stored."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any, Final

PERIOD: Final = 150
"""Seconds after which there is another nonce. One is accepted in its own period and the next."""


class Nonces:
    """The nonces of the gateways that share `keys`; without keys, of this process. `renew` takes changed keys."""

    def __init__(self) -> None:
        self._keys: tuple[bytes, ...] = (secrets.token_bytes(32),)

    def renew(self, keys: Sequence[bytes]) -> None:
        """Make nonces with the first key from now on, and accept those of all keys."""
        self._keys = tuple(hmac.digest(key, b"mcppool DPoP nonce", hashlib.sha256) for key in keys)

    def current(self, now: float) -> str:
        """The nonce for clients at `now`, in seconds since the epoch."""
        return _nonce(self._keys[0], int(now) // PERIOD)

    def accepts(self, nonce: Any, now: float) -> bool:
        """Whether it is the nonce of this period or the former one."""
        if not isinstance(nonce, str):
            return False
        said, period = nonce.encode("utf-8", "surrogatepass"), int(now) // PERIOD
        return any(
            hmac.compare_digest(said, _nonce(key, number).encode())
            for key in self._keys
            for number in (period, period - 1)
        )


def _nonce(key: bytes, period: int) -> str:
    digest = hmac.digest(key, str(period).encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:18]).decode()
