"""The identity header: a short-lived JWT about the client for the servers, signed with the gateway's key."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from mcppool.policy.principal import Principal
from mcppool.small_file import file_version
from mcppool.spec.sections.outbound import IdentitySpec
from mcppool.upstream.oauth.jwk_thumbprint import canonical_members, thumbprint
from mcppool.upstream.oauth.private_key import algorithm_of, load_key
from mcppool.upstream.oauth.token_response import TokenUnavailable

MAX_REMEMBERED: Final = 10_000  # clients with a stored JWT, which is used until half of its life is over
MAX_CLAIM: Final = 2048  # bytes of a claim that is repeated
LOOK_EVERY: Final = 2.0  # seconds between two looks at the key file
TYPE: Final = "mcppool-identity+jwt"


class Identity:
    """Signs for one pool. `public_keys` are the key of the file, and the one before it for as long as its JWTs are
    valid."""

    def __init__(self, spec: IdentitySpec, pool: str) -> None:
        """Raises TokenUnavailable if the key cannot be used."""
        self._spec = spec
        self._audience = spec.audience or pool
        self._made: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._former: list[tuple[dict[str, Any], float]] = []
        self._file: object = file_version(spec.key_file)
        self._looked = 0.0
        self._key = load_key(spec.key_file)
        self._jwk = public_jwk(self._key)

    def public_keys(self, now: float) -> list[dict[str, Any]]:
        """The public keys, at `now` (seconds since the epoch)."""
        self._former = [(jwk, until) for jwk, until in self._former if until > now]
        return [self._jwk, *(jwk for jwk, _ in self._former if jwk["kid"] != self._jwk["kid"])]

    def line(self, principal: Principal | None, now: float) -> bytes:
        """The header line for a principal, None for the gateway itself, at `now` (seconds since the epoch)."""
        self._look(now)
        key = "" if principal is None else f"{principal.key}\0{principal.token_hash}"
        made = self._made.get(key)
        if made is not None and made[1] > now:
            return made[0]
        line = self._sign(principal, now)
        self._made[key] = line, now + self._spec.lifetime / 2
        self._made.move_to_end(key)
        if len(self._made) > MAX_REMEMBERED:
            self._made.popitem(last=False)
        return line

    def _sign(self, principal: Principal | None, now: float) -> bytes:
        import jwt  # here, because only pools that use it pay for loading it

        claims = {
            "iss": self._spec.issuer,
            "aud": self._audience,
            "iat": int(now),
            "exp": int(now + self._spec.lifetime),
            **(about(principal, self._spec.claims) if principal is not None else {"sub": self._spec.issuer}),
        }
        headers = {"typ": TYPE, "kid": self._jwk["kid"]}
        token = jwt.encode(claims, self._key, algorithm_of(self._key), headers=headers)
        return f"{self._spec.header.lower()}: {token}\r\n".encode("ascii")

    def _look(self, now: float) -> None:
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        file = file_version(self._spec.key_file)
        if file == self._file:
            return
        try:
            key = load_key(self._spec.key_file)
        except TokenUnavailable:
            return  # it is being written: the key in use stays
        self._file = file
        self._former.append((self._jwk, now + self._spec.lifetime))
        self._key, self._jwk = key, public_jwk(key)
        self._made.clear()


def about(principal: Principal, repeated: tuple[str, ...]) -> dict[str, Any]:
    """The claims about a principal."""
    claims = {
        "sub": principal.subject or principal.name or principal.key,
        "method": principal.method,
        "idp": principal.issuer,
        "client_id": principal.client_id,
        "name": principal.name,
        "scope": " ".join(sorted(principal.scopes)),
        "groups": sorted(principal.groups),
        "claims": {
            name: principal.claims[name]
            for name in repeated
            if name in principal.claims and len(json.dumps(principal.claims[name], default=str)) <= MAX_CLAIM
        },
    }
    return {name: value for name, value in claims.items() if value}


def public_jwk(key: Any) -> dict[str, Any]:
    """The public half of a key as a JWK (RFC 7517), named by its thumbprint (RFC 7638)."""
    import jwt

    algorithm = algorithm_of(key)
    whole: Mapping[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    members = canonical_members(whole)
    return {**json.loads(members), "alg": algorithm, "use": "sig", "kid": thumbprint(members)}


def now() -> float:
    """Seconds since the epoch."""
    return time.time()
