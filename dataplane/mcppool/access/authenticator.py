"""The interface of every authentication method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from mcppool.access.credential import Credential
from mcppool.access.peer_certificate import PeerCertificate
from mcppool.policy.principal import Principal


class Authenticator(Protocol):
    """Establishes principals by one method. `header` is the header with the credential, in lower case."""

    header: str

    def read(self, headers: Mapping[str, str], certificate: PeerCertificate) -> Credential | None:
        """The well-formed credential in a request's headers; None if there is none."""

    def recall(self, credential: Credential, now: float) -> Principal | None:
        """The principal of a credential that is known to be valid at `now` (seconds since the epoch), without any
        wait."""

    async def authenticate(self, credential: Credential, address: str, now: float) -> Principal:
        """The principal of a credential. Raises Denied."""

    async def close(self) -> None:
        """End its background tasks."""
