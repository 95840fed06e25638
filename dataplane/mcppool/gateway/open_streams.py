"""Streams that stay open until their client or a drain ends them, or their client's authorization ends.

A stream is checked when rules or credentials change, and when its token has not been verified for `revocation_bound`.
A token that is no longer in the memory of verified ones is verified again, so that a change of something else ends no
stream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from mcppool.access.credential import Credential
from mcppool.access.denied import Denied
from mcppool.access.inbound import InboundAuth
from mcppool.pipeline.call import Call
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.principal import Principal
from mcppool.supervision import guard

MAX_TIMER: Final = 86_400.0
"""Seconds; a timer of a stream that may stay longer is set again."""
AT_ONCE: Final = 16
"""Upper bound on the streams whose tokens are verified at the same time."""


class OpenStream:
    """One open stream: its pool, the call and the credential that opened it. `end` ends it. `expires_at` is the end of
    the credential's validity."""

    __slots__ = ("auth", "call", "credential", "end", "expires_at", "pool")

    def __init__(
        self,
        pool: ServerPool,
        auth: InboundAuth | None,
        credential: Credential | None,
        call: Call,
        end: Callable[[], None],
    ) -> None:
        self.pool = pool
        self.auth = auth
        self.credential = credential
        self.call = call
        self.end = end
        self.expires_at = call.principal.expires_at

    def may_stay(self) -> bool | None:
        """Whether its client is still known, and the access rules still allow the stream; None if the credential has to
        be verified again."""
        principal = self.auth.recall(self.credential) if self.auth is not None else self.call.principal
        return None if principal is None else self._allows(principal)

    async def still_holds(self) -> bool:
        """Like `may_stay`, after another verification. While that is not possible, because the issuer does not answer,
        the stream stays."""
        assert self.auth is not None
        try:
            return self._allows(await self.auth.verify(self.credential))
        except Denied as denied:
            return denied.failure == "unavailable"

    def _allows(self, principal: Principal) -> bool:
        self.expires_at = principal.expires_at
        return principal.key == self.call.principal.key and self.pool.access.still_allows(self.call, principal)


class OpenStreams:
    """All open streams of the listener."""

    def __init__(self) -> None:
        self._streams: dict[OpenStream, _Alarm] = {}
        self._doubtful: dict[OpenStream, None] = {}
        self._verifier: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._streams)

    @contextmanager
    def opened(
        self,
        pool: ServerPool,
        auth: InboundAuth | None,
        credential: Credential | None,
        call: Call,
        end: Callable[[], None],
    ) -> Iterator[None]:
        """Track an open stream in a context manager. It ends when its principal expires, or its token is found to be
        revoked."""
        stream = OpenStream(pool, auth, credential, call, end)
        self._streams[stream] = alarm = _Alarm(stream, self._recheck)
        try:
            yield
        finally:
            del self._streams[stream]
            self._doubtful.pop(stream, None)
            alarm.cancel()

    def end_unless(self, may_stay: Callable[[OpenStream], bool]) -> None:
        """End the streams that may not stay."""
        for stream in [s for s in self._streams if not may_stay(s)]:
            stream.end()

    def recheck(self, concerned: Callable[[OpenStream], bool]) -> None:
        """End the concerned streams whose clients may no longer have them. Those that need another verification end
        after it."""
        for stream in [s for s in self._streams if concerned(s)]:
            self._recheck(stream)

    def _recheck(self, stream: OpenStream) -> None:
        stays = stream.may_stay()
        if stays is None:
            self._doubtful[stream] = None
            if self._verifier is None:
                self._verifier = guard("verification of streams", self._verify())
        else:
            self._decided(stream, stays)

    async def _verify(self) -> None:
        try:
            while self._doubtful:
                some = list(self._doubtful)[:AT_ONCE]
                for stream in some:
                    del self._doubtful[stream]
                found = await asyncio.gather(*[stream.still_holds() for stream in some])
                for stream, holds in zip(some, found, strict=True):
                    self._decided(stream, holds)
                await asyncio.sleep(0)
        finally:
            self._verifier = None

    def _decided(self, stream: OpenStream, stays: bool) -> None:
        alarm = self._streams.get(stream)
        if alarm is None:
            return  # it has ended meanwhile
        if stays:
            alarm.set()
        else:
            stream.end()


class _Alarm:
    """Ends a stream when its credential expires, and has it checked each time that its token is to be verified."""

    def __init__(self, stream: OpenStream, recheck: Callable[[OpenStream], None]) -> None:
        self._stream = stream
        self._recheck = recheck
        self._timer: asyncio.TimerHandle | None = None
        self.set()

    def set(self) -> None:
        """Begin anew: the token has just been verified."""
        every = self._stream.auth.verified_every if self._stream.auth is not None else None
        self._verify_at = time.time() + every if every is not None else None
        self._wait()

    def cancel(self) -> None:
        """The stream has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        self.cancel()
        times = [at for at in (self._stream.expires_at, self._verify_at) if at is not None]
        if times:
            wait = min(max(min(times) - time.time(), 0.0), MAX_TIMER)
            self._timer = asyncio.get_running_loop().call_later(wait, self._look)

    def _look(self) -> None:
        now, expires_at = time.time(), self._stream.expires_at
        if expires_at is not None and now >= expires_at:
            self._stream.end()
        elif self._verify_at is not None and now >= self._verify_at:
            self._verify_at = None
            self._wait()
            self._recheck(self._stream)
        else:
            self._wait()
