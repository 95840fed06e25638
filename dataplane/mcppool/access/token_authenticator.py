"""Access tokens as credentials: the part that signed and opaque tokens have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from mcppool.access.access_tokens import MAX_TOKEN, principal_of
from mcppool.access.credential import Credential, bearer_token, bound_to
from mcppool.access.denied import Denied
from mcppool.access.peer_certificate import PeerCertificate
from mcppool.access.proof_of_possession import check_binding, check_scheme
from mcppool.access.token_cache import TokenCache
from mcppool.policy.principal import Method, Principal


class VerifiedToken(NamedTuple):
    """The verified claims of a token, of about `size` bytes. `skew`: allowed difference of clocks in seconds."""

    claims: Mapping[str, Any]
    subject_claim: str
    groups_claim: str
    size: int
    skew: float = 0.0


class TokenAuthenticator(ABC):
    """Verifies each access token once, and remembers its principal for `revocation_bound` seconds at most. `schemes`
    are the accepted schemes of `Authorization`, in lower case."""

    header = "authorization"
    method: Method

    def __init__(self, revocation_bound: float, schemes: Collection[str]) -> None:
        self._schemes = schemes
        self._cache = TokenCache(revocation_bound)

    def read(self, headers: Mapping[str, str], certificate: PeerCertificate) -> Credential | None:
        """See `Authenticator`."""
        return bearer_token(headers, certificate.thumbprint)

    def recall(self, credential: Credential, now: float) -> Principal | None:
        """See `Authenticator`."""
        return self._cache.recall(credential, now)

    async def authenticate(self, credential: Credential, address: str, now: float) -> Principal:
        """See `Authenticator`."""
        principal = self.recall(credential, now)
        if principal is not None:
            return principal
        check_scheme(credential, self._schemes)
        if len(credential.token) > MAX_TOKEN:
            raise Denied("invalid", f"the token has more than {MAX_TOKEN} bytes")
        token = await self._verified(credential, address, now)
        bound = check_binding(token.claims, credential)
        principal = principal_of(
            token.claims, self.method, subject_claim=token.subject_claim, groups_claim=token.groups_claim,
            skew=token.skew, token_hash=credential.digest.hex()[:16],
        )  # fmt: skip
        self._cache.keep(bound_to(credential) if bound else credential.digest, token.size, principal, now)
        return principal

    @abstractmethod
    async def _verified(self, credential: Credential, address: str, now: float) -> VerifiedToken:
        """Verify a token that a client at `address` has shown. Raises Denied."""

    @abstractmethod
    async def close(self) -> None:
        """See `Authenticator`."""
