"""Header lines for the servers on behalf of a client: its identity, and a token in its name."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mcppool.pipeline.call import Call
from mcppool.policy.principal import Principal
from mcppool.upstream.oauth.exchanged_tokens import ExchangedTokens
from mcppool.upstream.oauth.identity import Identity


@dataclass(frozen=True, slots=True)
class OnBehalf:
    """Sources of the lines that `auth.outbound` asks for: `identity`, `tokens`, or both."""

    identity: Identity | None
    tokens: ExchangedTokens | None

    async def prepare(self, call: Call) -> None:
        """Set the header lines of a call and of the next handshake of its session. Raises NoCredentials."""
        lines = b""
        if self.identity is not None:
            lines += self.identity.line(call.principal, time.time())
        if self.tokens is not None:
            lines += await self.tokens.line(call.principal, call.credential)
        call.on_behalf = lines
        if call.session is not None:
            call.session.on_behalf = lines

    def refused(self, principal: Principal) -> None:
        """A server has refused a call of the principal for its credentials."""
        if self.tokens is not None:
            self.tokens.forget(principal)
