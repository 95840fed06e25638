"""Access tokens for clients, each in exchange for the client's own token (RFC 8693)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from time import monotonic, time
from typing import Final, NamedTuple

from mcppool.policy.principal import Principal
from mcppool.policy.token_renewal import lifetime
from mcppool.upstream.failures import NoCredentials
from mcppool.upstream.oauth.token_response import Token, TokenUnavailable

GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 (a name)
MAX_REMEMBERED: Final = 10_000  # tokens
MAX_FETCHES: Final = 32  # upper bound on concurrent requests to the issuer
PAUSE: Final = 2.0  # seconds after a refusal in which the issuer is not asked again for the same token

Ask = Callable[[dict[str, str]], Awaitable[Token]]
Key = tuple[str, bytes]


class _Kept(NamedTuple):
    line: bytes
    ends_at: float
    why: str = ""  # there is none


class ExchangedTokens:
    """The tokens of one pool. Each belongs to one principal with one token of its own, and is never given to another.

    `ask` sends a grant to the issuer; `actor` gives the gateway's own token, if the issuer requires that.
    """

    def __init__(self, ask: Ask, actor: Callable[[], Awaitable[str]] | None = None) -> None:
        self._ask = ask
        self._actor = actor
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._fetching: dict[Key, asyncio.Task[_Kept]] = {}
        self._places = asyncio.Semaphore(MAX_FETCHES)

    async def line(self, principal: Principal, credential: str) -> bytes:
        """The header line for a principal with this `credential`. Raises NoCredentials."""
        if not credential:
            raise NoCredentials("the client has shown no token that could be exchanged")
        key = (principal.key, sha256(credential.encode()).digest())
        kept = self._kept.get(key)
        if kept is None or kept.ends_at <= monotonic():
            task = self._fetching.get(key)
            if task is None:
                task = self._fetching[key] = asyncio.create_task(self._fetch(key, principal, credential))
                task.add_done_callback(lambda _: self._fetching.pop(key, None))
            kept = await asyncio.shield(task)
        if not kept.line:
            raise NoCredentials(kept.why)
        return kept.line

    def forget(self, principal: Principal) -> None:
        """A server has refused a token of the principal."""
        for key in [key for key in self._kept if key[0] == principal.key]:
            del self._kept[key]

    async def stop(self) -> None:
        """End the fetches."""
        tasks = list(self._fetching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(self, key: Key, principal: Principal, credential: str) -> _Kept:
        form = {"grant_type": GRANT, "subject_token": credential, "subject_token_type": ACCESS_TOKEN}
        try:
            async with self._places:
                if self._actor is not None:
                    form |= {"actor_token": await self._actor(), "actor_token_type": ACCESS_TOKEN}
                asked_at = monotonic()
                token = await self._ask(form)
        except (TokenUnavailable, NoCredentials) as error:
            why = str(error).replace(credential, "(hidden)")
            kept = _Kept(b"", monotonic() + PAUSE, f"no token in exchange for the client's: {why}")
        else:
            ends_at = lifetime(asked_at, token.expires_in).renew_at
            if principal.expires_at is not None:  # it must not outlive the exchanged token
                ends_at = min(ends_at, asked_at + principal.expires_at - time())
            kept = _Kept(f"authorization: Bearer {token.value}\r\n".encode("ascii"), ends_at)
        self._kept[key] = kept
        self._kept.move_to_end(key)
        if len(self._kept) > MAX_REMEMBERED:
            self._kept.popitem(last=False)
        return kept
