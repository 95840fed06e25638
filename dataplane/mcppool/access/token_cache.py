"""Verified tokens, so that a token is verified once and not with each call."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from mcppool.access.credential import DPOP, Credential, bound_to
from mcppool.policy.principal import Principal

MAX_TOKENS: Final = 10_000
MAX_BYTES: Final = 16 << 20
"""Upper bound on the stored claims, estimated from the lengths of their tokens."""
WEIGHT: Final = 4
"""Approximate bytes of claims in memory for each byte of a token."""
ENTRY_SIZE: Final = 1024
"""Approximate bytes of an entry besides its claims."""


class _Entry(NamedTuple):
    principal: Principal
    until: float
    size: int


class TokenCache:
    """Principals by the digest of their tokens, for `bound` seconds at most. The oldest entries go first."""

    def __init__(self, bound: float) -> None:
        self._bound = bound
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Approximate bytes of all entries."""
        return self._bytes

    def recall(self, credential: Credential, now: float) -> Principal | None:
        """The principal of a token that is valid at `now`, be it bound to a key of the client or not. With DPoP the
        proof of that key is still to be verified."""
        if credential.scheme == "bearer":
            found = self.get(credential.digest, now)
            return self.get(bound_to(credential), now) if found is None and credential.certificate else found
        return self.get(bound_to(credential), now) if credential.scheme == DPOP else None

    def get(self, digest: bytes, now: float) -> Principal | None:
        """The principal of a token that is still valid at `now`."""
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if now >= entry.until:
            self._drop(digest)
            return None
        return entry.principal

    def keep(self, digest: bytes, length: int, principal: Principal, now: float) -> None:
        """Store the principal of a token of this length until it expires, or the bound is reached."""
        self._drop(digest)
        until = now + self._bound
        if principal.expires_at is not None:
            until = min(until, principal.expires_at)
        size = ENTRY_SIZE + WEIGHT * length
        if until <= now or size > MAX_BYTES:
            return
        self._entries[digest] = _Entry(principal, until, size)
        self._bytes += size
        while self._bytes > MAX_BYTES or len(self._entries) > MAX_TOKENS:
            self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        """Forget everything: each token is verified again."""
        self._entries.clear()
        self._bytes = 0

    def _drop(self, digest: bytes) -> None:
        entry = self._entries.pop(digest, None)
        if entry is not None:
            self._bytes -= entry.size
