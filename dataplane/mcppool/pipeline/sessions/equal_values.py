"""Equal values of many sessions, kept once: the clients of a pool are of few kinds, and its endpoints few."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from mcppool.wire.sealing import SessionClaims

MAX_VALUES: Final = 256

T = TypeVar("T", str, bytes)


class EqualValues:
    """A bounded memory of values: it forgets all when it is full."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str | bytes, str | bytes] = {}

    def one(self, value: T) -> T:
        """The equal value that came before, or this one."""
        known = self._known.get(value)
        if type(known) is type(value):
            return known
        if len(self._known) >= MAX_VALUES:
            self._known.clear()
        self._known[value] = value
        return value

    def in_claims(self, claims: SessionClaims) -> SessionClaims:
        """The same claims, with values that other sessions have too."""
        capabilities = claims.capabilities
        return msgspec.structs.replace(
            claims,
            endpoint=self.one(claims.endpoint),
            version=self.one(claims.version),
            capabilities=self.one(capabilities) if capabilities is not None else None,
            client=self.one(claims.client),
        )
