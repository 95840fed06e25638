"""`auth.inbound.type = "jwt"`: access tokens that trusted issuers have signed (OAuth 2.1, RFC 9068)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import jwt

from mcppool.access.access_tokens import check_type
from mcppool.access.credential import Credential
from mcppool.access.denied import Denied
from mcppool.access.jwks import FileKeys, KeySource, RemoteKeys
from mcppool.access.proof_of_possession import BEARER
from mcppool.access.token_authenticator import TokenAuthenticator, VerifiedToken
from mcppool.access.verification_keys import VerificationKey
from mcppool.spec.sections.inbound import IssuerSpec, JwtSpec

MAX_KEYS_TRIED: Final = 8
"""Upper bound on the keys that are tried for a token without a key id."""
_UNREADABLE: Final = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


class JwtTokens(TokenAuthenticator):
    """Verifies access tokens. `audiences` apply to issuers without audiences in the configuration.

    Raises OSError or ValueError if a file of keys cannot be read. `on_change` is called when a key has been removed.
    """

    method = "jwt"

    def __init__(
        self,
        spec: JwtSpec,
        audiences: Sequence[str],
        revocation_bound: float,
        on_change: Callable[[], None],
        schemes: Collection[str] = BEARER,
    ) -> None:
        super().__init__(revocation_bound, schemes)
        self._skew = spec.clock_skew
        self._on_change = on_change
        self._issuers: dict[str, _Issuer] = {}
        for issuer in spec.issuers:
            self._issuers[issuer.issuer] = _Issuer(issuer, issuer.audiences or tuple(audiences), self._key_gone)

    async def close(self) -> None:
        """See `Authenticator`."""
        await asyncio.gather(*[issuer.keys.close() for issuer in self._issuers.values()])

    async def _verified(self, credential: Credential, address: str, now: float) -> VerifiedToken:  # noqa: ARG002
        token = credential.token
        try:
            header = jwt.get_unverified_header(token)
            said = jwt.decode(token, options={"verify_signature": False})
        except _UNREADABLE:
            raise Denied("invalid", "the token is not a signed JWT") from None
        name = said.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise Denied("invalid", "the token's issuer is not trusted")
        claims = await issuer.verify(token, header, self._skew)
        return VerifiedToken(claims, issuer.spec.subject_claim, issuer.spec.groups_claim, len(token), self._skew)

    def _key_gone(self) -> None:
        self._cache.clear()
        self._on_change()


class _Issuer:
    """A trusted issuer with its keys."""

    def __init__(self, spec: IssuerSpec, audiences: tuple[str, ...], on_change: Callable[[], None]) -> None:
        self.spec = spec
        self._audiences = audiences
        self.keys: KeySource = (
            FileKeys(spec.jwks_file, on_change) if spec.jwks_file is not None else RemoteKeys(spec, on_change)
        )

    async def verify(self, token: str, header: dict[str, Any], skew: float) -> dict[str, Any]:
        """The claims of a token with this header. Raises Denied."""
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self.spec.algorithms:
            raise Denied("invalid", f"the token's algorithm is not {' or '.join(self.spec.algorithms)}")
        check_type(header, self.spec.token_types)
        keys = await self.keys.find(kid, algorithm)  # `jku`, `x5u`, `x5c` and `jwk` of the header are never used
        if not keys:
            raise Denied("invalid", "the token is signed with a key that its issuer does not list")
        claims = self._decoded(token, algorithm, keys, skew)
        if claims is None and await self.keys.renewed():
            claims = self._decoded(token, algorithm, await self.keys.find(kid, algorithm), skew)
        if claims is None:
            raise Denied("invalid", "the token's signature does not hold")
        return claims

    def _decoded(
        self, token: str, algorithm: str, keys: Sequence[VerificationKey], skew: float
    ) -> dict[str, Any] | None:
        """The claims of a token; None if none of the keys has signed it. Raises Denied."""
        for key in keys[:MAX_KEYS_TRIED]:
            try:
                return jwt.decode(
                    token,
                    key.key,
                    algorithms=[algorithm],
                    audience=self._audiences,
                    issuer=self.spec.issuer,
                    leeway=skew,
                    options={"require": ["exp", "iss", "aud"]},
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise Denied("expired", "the token has expired") from None
            except jwt.InvalidAudienceError:
                raise Denied("invalid", "the token is for another audience") from None
            except _UNREADABLE as error:
                raise Denied("invalid", f"the token does not hold: {error}") from None
        return None
