"""Principal: the authenticated identity of a client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

Method = Literal["none", "api_keys", "jwt", "introspection", "mtls", "passthrough"]

_NO_CLAIMS: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Principal:
    """One identity, as authentication established it. It holds no credential.

    `key` identifies the principal wherever state is bound to it: sealed sessions, pins, cache entries, limits, rests
    and the attribution of failures. Two principals have two keys. `method` is the kind of authentication. `issuer`,
    `subject` and `client_id` come from a token; `name` is the name of an API key or the subject of a certificate.
    `groups` and `scopes` are what access rules match, and `claims` the verified claims of the token. `expires_at` is
    the end of its validity in seconds since the epoch, None for no end. `token_hash` identifies the credential in logs.
    """

    key: str
    method: Method = "none"
    issuer: str = ""
    subject: str = ""
    client_id: str = ""
    name: str = ""
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=lambda: _NO_CLAIMS, compare=False)
    expires_at: float | None = None
    token_hash: str = ""

    @property
    def verified(self) -> bool:
        """Whether the gateway has verified the identity. With `passthrough` only the servers do: a client may invent as
        many as it likes."""
        return self.method not in ("none", "passthrough")

    @property
    def anonymous(self) -> bool:
        """Whether it stands for every client without a credential."""
        return self.method == "none" or (self.method == "passthrough" and not self.token_hash)

    def origin(self, address: str) -> str:
        """The client whose use of shared resources is limited: the principal if it is verified, else the address."""
        return self.key if self.verified else address


ANONYMOUS: Final = Principal("anonymous")
"""The principal of every client of a pool without authentication."""
