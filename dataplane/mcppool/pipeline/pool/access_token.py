"""An access token of the gateway, kept valid: renewed early, fetched once at a time, and not sent after its end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import monotonic

from mcppool.observe.logs import get_logger
from mcppool.policy.backoff import exponential, full_jitter
from mcppool.policy.token_renewal import lifetime
from mcppool.supervision import supervise
from mcppool.upstream.failures import NoCredentials
from mcppool.upstream.oauth.token_response import Token, TokenUnavailable

BACKOFF, MAX_BACKOFF = 1.0, 60.0  # seconds between fetches that fail
MIN_AGE = 10.0  # seconds; a younger token is not renewed when a server refuses it

log = get_logger("outbound")


class AccessToken:
    """The `Credentials` of a pool, from an issuer. `fetch` gets a token; `on_change` is called when `line` or `missing`
    have changed."""

    def __init__(self, pool: str, fetch: Callable[[], Awaitable[Token]], on_change: Callable[[], None]) -> None:
        self.line = b""
        self.missing: str | None = "no access token was fetched yet"
        self._pool = pool
        self._fetch = fetch
        self._on_change = on_change
        self._rng = random.Random()
        self._fetched_at = self._asked_at = 0.0
        self._fetching = True
        self._settled = asyncio.Event()
        self._wake = asyncio.Event()
        self._expiry: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to fetch, and to renew."""
        self._task = supervise("access token", self._run, about=self._pool)

    async def stop(self) -> None:
        """End the renewals."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._fetching = False
        self._settled.set()  # nobody waits for a fetch that never ends

    async def obtain(self) -> None:
        """See `Credentials`."""
        if self._fetching and self.missing is not None:
            await self._settled.wait()
        if self.missing is not None:
            raise NoCredentials(self.missing)

    async def settle(self) -> None:
        """See `Credentials`."""
        if self._fetching:
            await self._settled.wait()

    def refused(self, sent_at: float) -> bool:
        """See `Credentials`."""
        if self._fetching or sent_at < self._fetched_at:
            return True
        if self.missing is not None or monotonic() - self._asked_at < MIN_AGE:
            return False
        log.warning("token_refused", pool=self._pool)
        self._begin()  # the old one stays in use meanwhile: other servers may still accept it
        self._wake.set()
        return True

    async def _run(self) -> None:
        failures = 0
        while True:
            self._begin()
            asked_at = self._asked_at = monotonic()
            try:
                token = await self._fetch()
            except TokenUnavailable as error:
                failures += 1
                wait = full_jitter(exponential(failures, BACKOFF, MAX_BACKOFF), self._rng)
                log.error("token_unavailable", pool=self._pool, cause=str(error))
                if self.missing is not None:
                    self.missing = f"no access token: {error}"
                    self._on_change()
            else:
                failures = 0
                wait = self._take(token, asked_at)
            self._wake.clear()
            self._fetching = False
            self._settled.set()
            try:
                async with asyncio.timeout(max(wait, 0.1)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _begin(self) -> None:
        self._fetching = True
        self._settled.clear()

    def _take(self, token: Token, asked_at: float) -> float:
        """Send this token from now on; returns the seconds until its renewal."""
        times, now = lifetime(asked_at, token.expires_in), monotonic()
        self._fetched_at = now
        self.line = f"authorization: Bearer {token.value}\r\n".encode("ascii")
        self.missing = None
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = asyncio.get_running_loop().call_later(max(times.ends_at - now, 0.0), self._expire)
        log.event("token_fetched", pool=self._pool, renewed_in=round(times.renew_at - now))
        self._on_change()
        return times.renew_at - now

    def _expire(self) -> None:
        """The token was not renewed in time. Without a valid token no request is sent."""
        self.line = b""
        self.missing = "the access token has expired, and its renewal fails"
        self._on_change()
