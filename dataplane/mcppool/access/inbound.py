"""Authentication of one pool's clients: from a request's headers to its principal, or to the reply for the client."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from mcppool.access.api_keys import ApiKeys
from mcppool.access.authenticator import Authenticator
from mcppool.access.credential import DPOP, Credential
from mcppool.access.denied import AuthFailure, Denied
from mcppool.access.dpop_header import ALGORITHMS, ShownProof
from mcppool.access.failure_limit import FailureLimit
from mcppool.access.introspection import Introspection
from mcppool.access.metadata import challenge, metadata_path, metadata_url, protected_resource
from mcppool.access.passthrough import Passthrough
from mcppool.access.peer_certificate import PeerCertificate
from mcppool.observe.logs import get_logger
from mcppool.observe.rate_limited_event import RateLimitedEvent
from mcppool.policy.principal import Principal
from mcppool.spec import ConfigError, Problem
from mcppool.spec.sections.inbound import InboundAuthSpec

if TYPE_CHECKING:
    from mcppool.access.dpop import Proofs

_STATUS: Final[Mapping[AuthFailure, int]] = {
    "missing": 401,
    "invalid": 401,
    "expired": 401,
    "insufficient_scope": 403,
    "unavailable": 503,
    "rate_limited": 429,
    "proof": 401,
    "nonce": 401,
}
_ERROR: Final[Mapping[AuthFailure, str | None]] = {
    "missing": None,
    "invalid": "invalid_token",
    "expired": "invalid_token",
    "insufficient_scope": "insufficient_scope",
    "proof": "invalid_dpop_proof",
    "nonce": "use_dpop_nonce",
}
_SCHEMES: Final = {"off": ("bearer",), "accepted": ("bearer", DPOP), "required": (DPOP,)}
"""Accepted schemes of `Authorization`, by `auth.inbound.dpop`."""
_VERIFIED_AGAIN: Final = frozenset({"jwt", "introspection", "mtls"})

log = get_logger("auth")


class DeniedReply(NamedTuple):
    """The reply to a request that is not admitted: its status, header lines, and message."""

    status: int
    headers: bytes
    message: str


class InboundAuth:
    """Authentication of the clients of one pool. A pool that accepts every client has none.

    `resources` are the URLs of the pool as clients type them, by the path of the request, the canonical one first.
    `failures` counts failures, by kind. `proofs` verifies DPoP proofs, if the pool takes any. `on_change` is called
    when a valid credential may no longer be valid.
    """

    def __init__(
        self,
        spec: InboundAuthSpec,
        pool: str,
        resources: Mapping[bytes, str],
        failures: Counter[str],
        on_change: Callable[[], None],
        proofs: Proofs | None = None,
    ) -> None:
        self.spec = spec
        self._proofs = proofs
        self.takes_proofs = proofs is not None
        self._schemes = _SCHEMES[spec.dpop]
        self.resources = resources
        self.failures = failures
        self._pool = pool
        self._required = frozenset(spec.required_scopes)
        self._limit = FailureLimit(spec.max_failures_per_minute)
        self._seldom = RateLimitedEvent(log)
        self._authenticator = _authenticator(spec, pool, resources, on_change, self._may_fail)
        self.header = self._authenticator.header
        self._issuers = _issuers(spec)

    def documents(self) -> Mapping[bytes, bytes]:
        """The metadata documents of the pool, by path. Only pools with an authorization server have them."""
        if not self._issuers:
            return {}
        return {
            metadata_path(resource).encode(): protected_resource(
                resource,
                self._issuers,
                self.spec.required_scopes,
                name=self._pool,
                algorithms=ALGORITHMS if DPOP in self._schemes else (),
                proof_required=self.spec.dpop == "required",
            )
            for resource in self.resources.values()
        }

    def metadata_url(self, path: bytes) -> str | None:
        """The URL of the metadata for requests at `path`; None for a pool without an authorization server."""
        resource = self.resources.get(path) if self._issuers else None
        return metadata_url(resource) if resource is not None else None

    def read(self, headers: Mapping[str, str], certificate: PeerCertificate) -> Credential | None:
        """The credential of a request, in its headers or in the TLS handshake of its connection."""
        return self._authenticator.read(headers, certificate)

    def recall(self, credential: Credential | None) -> Principal | None:
        """The principal of a credential that is known to be valid, and has all scopes that the pool requires. It admits
        no request with a DPoP token, each of which needs a proof of its own."""
        if credential is None:
            return None
        principal = self._authenticator.recall(credential, time.time())
        return principal if principal is not None and self._required <= principal.scopes else None

    def admit(self, credential: Credential | None) -> Principal | None:
        """The principal of a request that needs no further check. Each call asks, so it repeats `recall`."""
        if credential is None or credential.scheme == DPOP:
            return None
        principal = self._authenticator.recall(credential, time.time())
        if principal is None or (self._required and not self._required <= principal.scopes):
            return None
        return principal

    async def authenticate(
        self, credential: Credential | None, address: str, *, shown: bool, proof: ShownProof | None = None
    ) -> Principal:
        """The principal of a credential. `shown`: the request has the header, well-formed or not. `proof` is that of a
        request with a DPoP token.

        Raises Denied.
        """
        try:
            if credential is None:
                raise Denied("invalid", "the credential is malformed") if shown else Denied("missing", "no credential")
            principal = await self._authenticator.authenticate(credential, address, time.time())
            if credential.scheme == DPOP:
                if self._proofs is None or proof is None:
                    raise Denied("invalid", "DPoP is off")
                await self._proofs.verify(proof, credential, principal, time.time())
            if missing := self._required - principal.scopes:
                detail = f"the pool needs the scope {min(missing)}"
                raise Denied("insufficient_scope", detail, scopes=self.spec.required_scopes)
            return principal
        except Denied as denied:
            raise self._counted(denied, address) from None

    @property
    def verified_every(self) -> float | None:
        """Seconds after which a credential that is in use has to be verified again; None if the gateway learns of each
        change."""
        return self.spec.revocation_bound if self.spec.type in _VERIFIED_AGAIN else None

    async def verify(self, credential: Credential | None) -> Principal:
        """The principal of a credential that was admitted before, and is still in use. A proof is not asked for again,
        and a failure counts for no address.

        Raises Denied.
        """
        if credential is None:
            raise Denied("missing", "no credential")
        principal = await self._authenticator.authenticate(credential, "", time.time())
        if not self._required <= principal.scopes:
            raise Denied("insufficient_scope", "the pool needs more scopes")
        return principal

    def refuse(self, denied: Denied, path: bytes, credential: Credential | None = None) -> DeniedReply:
        """The reply to a denied request with this credential at `path`."""
        headers = [b"cache-control: no-store\r\n"]
        status = _STATUS[denied.failure]
        if status in (401, 403):
            scheme = credential.scheme if credential is not None else ""
            scopes = denied.scopes or self.spec.required_scopes
            headers.append(self._challenges(_ERROR[denied.failure], denied.detail, scopes, path, scheme))
            if self._proofs is not None and self._proofs.nonces is not None:
                headers.append(b"dpop-nonce: %b\r\n" % self._proofs.nonces.current(time.time()).encode())
        if denied.retry_after is not None:
            headers.append(b"retry-after: %d\r\n" % max(1, round(denied.retry_after + 0.5)))
        return DeniedReply(status, b"".join(headers), f"Not authorized: {denied.detail}")

    def challenge_for_scopes(self, scopes: tuple[str, ...], path: bytes) -> bytes:
        """The header line that asks a client for a token with these scopes, for a request at `path`."""
        return self._challenges("insufficient_scope", "the request needs more scopes", scopes, path, None)

    def _challenges(
        self, error: str | None, description: str, scopes: tuple[str, ...], path: bytes, scheme: str | None
    ) -> bytes:
        """A header line for each scheme. The error is in that of the request's `scheme`; in all if that is None."""
        at_fault = self._schemes if scheme is None else (scheme if scheme in self._schemes else self._schemes[0],)
        metadata, lines = self.metadata_url(path), b""
        for one in self._schemes:
            value = challenge(
                error=error if one in at_fault else None,
                description=description,
                scopes=scopes,
                metadata=metadata,
                algorithms=ALGORITHMS if one == DPOP else (),
            )
            lines += b"www-authenticate: %b\r\n" % value.encode()
        return lines

    async def close(self) -> None:
        """End its background tasks."""
        await self._authenticator.close()

    def _may_fail(self, address: str) -> bool:
        return self._limit.may_fail(address, monotonic())

    def _counted(self, denied: Denied, address: str) -> Denied:
        """The failure, counted and logged at a bounded rate; another one if the address fails too often."""
        if denied.failure in ("invalid", "expired", "proof"):
            wait = self._limit.fail(address, monotonic())
            if wait:
                denied = Denied("rate_limited", "too many failures to authenticate", retry_after=wait)
        self.failures[denied.failure] += 1
        if denied.failure not in ("missing", "nonce"):
            self._seldom.warning(
                "authentication_failed", denied.failure, pool=self._pool, client=address, failure=denied.failure,
                detail=denied.detail,
            )  # fmt: skip
        return denied


def _issuers(spec: InboundAuthSpec) -> tuple[str, ...]:
    """The authorization servers that issue tokens for the pool."""
    if spec.introspection is not None:
        return (spec.introspection.issuer,)
    return tuple(issuer.issuer for issuer in spec.jwt.issuers) if spec.jwt is not None else ()


def _authenticator(
    spec: InboundAuthSpec,
    pool: str,
    resources: Mapping[bytes, str],
    on_change: Callable[[], None],
    may_fail: Callable[[str], bool],
) -> Authenticator:
    """The authenticator of a pool. Raises ConfigError if a file that it needs cannot be read."""
    try:
        if spec.type == "passthrough":
            return Passthrough()
        if spec.api_keys is not None:
            return ApiKeys(spec.api_keys, pool, on_change)
        if spec.type == "mtls":
            from mcppool.access.certificates import ClientCertificates  # here, as it loads 5 MB that few pools need

            return ClientCertificates(spec.revocation_bound)
        if spec.introspection is not None:
            return Introspection(
                spec.introspection, tuple(resources.values()), spec.revocation_bound, may_fail, _SCHEMES[spec.dpop]
            )
        assert spec.jwt is not None
        from mcppool.access.jwt import JwtTokens  # here, because only some pools need this module

        return JwtTokens(spec.jwt, tuple(resources.values()), spec.revocation_bound, on_change, _SCHEMES[spec.dpop])
    except (OSError, ValueError) as error:
        raise ConfigError([Problem(f"pools.{pool}.auth.inbound", f"cannot be used: {error}", spec.type)]) from error
