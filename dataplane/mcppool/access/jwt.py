"""`auth.inbound.type = "jwt"`: access tokens that trusted issuers have signed (OAuth 2.1, RFC 9068)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import jwt

from mcppool.access.access_tokens import MAX_TOKEN, check_type, principal_of
from mcppool.access.certificates import PeerCertificate
from mcppool.access.credential import Credential, bearer_token, bound_to
from mcppool.access.denied import Denied
from mcppool.access.jwks import FileKeys, KeySource, RemoteKeys
from mcppool.access.proof_of_possession import BEARER, check_binding, check_scheme
from mcppool.access.token_cache import TokenCache
from mcppool.access.verification_keys import VerificationKey
from mcppool.policy.principal import Principal
from mcppool.spec.sections.inbound import IssuerSpec, JwtSpec

MAX_KEYS_TRIED: Final = 8
"""Upper bound on the keys that are tried for a token without a key id."""
_UNREADABLE: Final = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


class JwtTokens:
    """Verifies access tokens. `audiences` apply to issuers without audiences in the configuration.

    Raises OSError or ValueError if a file of keys cannot be read. `on_change` is called when a key has been removed.
    `schemes` are the accepted schemes of `Authorization`, in lower case.
    """

    header = "authorization"

    def __init__(
        self,
        spec: JwtSpec,
        audiences: Sequence[str],
        revocation_bound: float,
        on_change: Callable[[], None],
        schemes: Collection[str] = BEARER,
    ) -> None:
        self._schemes = schemes
        self._skew = spec.clock_skew
        self._on_change = on_change
        self._cache = TokenCache(revocation_bound)
        self._issuers: dict[str, _Issuer] = {}
        for issuer in spec.issuers:
            self._issuers[issuer.issuer] = _Issuer(issuer, issuer.audiences or tuple(audiences), self._key_gone)

    def read(self, headers: Mapping[str, str], certificate: PeerCertificate) -> Credential | None:
        """See `Authenticator`."""
        return bearer_token(headers, certificate.thumbprint)

    def recall(self, credential: Credential, now: float) -> Principal | None:
        """See `Authenticator`."""
        return self._cache.recall(credential, now)

    async def authenticate(self, credential: Credential, address: str, now: float) -> Principal:  # noqa: ARG002
        """See `Authenticator`."""
        principal = self.recall(credential, now)
        if principal is not None:
            return principal
        check_scheme(credential, self._schemes)
        if len(credential.token) > MAX_TOKEN:
            raise Denied("invalid", f"the token has more than {MAX_TOKEN} bytes")
        claims, issuer = await self._verified(credential.token)
        bound = check_binding(claims, credential)
        principal = principal_of(
            claims, "jwt", subject_claim=issuer.subject_claim, groups_claim=issuer.groups_claim, skew=self._skew,
            token_hash=credential.digest.hex()[:16],
        )  # fmt: skip
        key = bound_to(credential) if bound else credential.digest
        self._cache.keep(key, len(credential.token), principal, now)
        return principal

    async def close(self) -> None:
        """See `Authenticator`."""
        await asyncio.gather(*[issuer.keys.close() for issuer in self._issuers.values()])

    async def _verified(self, token: str) -> tuple[dict[str, Any], IssuerSpec]:
        """The claims of a token, and its issuer. Raises Denied."""
        try:
            header = jwt.get_unverified_header(token)
            said = jwt.decode(token, options={"verify_signature": False})
        except _UNREADABLE:
            raise Denied("invalid", "the token is not a signed JWT") from None
        name = said.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise Denied("invalid", "the token's issuer is not trusted")
        return await issuer.verify(token, header, self._skew), issuer.spec

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
