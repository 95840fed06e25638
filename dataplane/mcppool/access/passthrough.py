"""`auth.inbound.type = "passthrough"`: the servers check credentials themselves, and the gateway tells clients apart.

The gateway is then a front of the same resource, under the same URL: a client's token is issued for it. It passes the
header to this pool's servers only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from mcppool.access.credential import Credential
from mcppool.access.denied import Denied
from mcppool.access.peer_certificate import PeerCertificate
from mcppool.access.principal_keys import principal_key
from mcppool.access.token_cache import TokenCache
from mcppool.policy.principal import Principal

REMEMBERED: Final = 300.0
"""Seconds that the principal of a credential is kept; it costs little to make again."""
NOBODY: Final = Principal(principal_key("passthrough"), "passthrough")
"""The principal of clients without a credential: the servers decide about them, too."""


class Passthrough:
    """Makes a principal of each `Authorization` header, by its hash. None of them is verified here."""

    header = "authorization"

    def __init__(self) -> None:
        self._cache = TokenCache(REMEMBERED)

    def read(self, headers: Mapping[str, str], certificate: PeerCertificate) -> Credential | None:  # noqa: ARG002
        """See `Authenticator`."""
        value = headers.get(self.header, "").strip()
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()
        return Credential("", value, digest)

    def recall(self, credential: Credential, now: float) -> Principal | None:
        """See `Authenticator`."""
        if not credential.token:
            return NOBODY
        principal = self._cache.get(credential.digest, now)
        if principal is None:
            name = credential.digest.hex()
            principal = Principal(principal_key("passthrough", name), "passthrough", token_hash=name[:16])
            self._cache.keep(credential.digest, 0, principal, now)
        return principal

    async def authenticate(self, credential: Credential, address: str, now: float) -> Principal:  # noqa: ARG002
        """See `Authenticator`."""
        principal = self.recall(credential, now)
        if principal is None:
            raise Denied("invalid", "the credential is malformed")
        return principal

    async def close(self) -> None:
        """See `Authenticator`."""
