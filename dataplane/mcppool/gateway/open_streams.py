"""Streams that stay open until their client or a drain ends them, or their client's authorization ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from mcppool.access.credential import Credential
from mcppool.access.inbound import InboundAuth
from mcppool.pipeline.call import Call
from mcppool.pipeline.pool.pool import ServerPool

LONGEST_TIMER: Final = 86_400.0
"""Seconds; a timer of a stream that may stay longer is set again."""


class OpenStream:
    """One open stream: its pool, the call and the credential that opened it. `end` ends it."""

    __slots__ = ("auth", "call", "credential", "end", "pool")

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

    def may_stay(self) -> bool:
        """Whether its client is still known, and the access rules still allow the stream."""
        principal = self.auth.recall(self.credential) if self.auth is not None else self.call.principal
        return principal is not None and self.pool.access.still_allows(self.call, principal)


class OpenStreams:
    """All open streams of the listener."""

    def __init__(self) -> None:
        self._streams: set[OpenStream] = set()

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
        """Track an open stream in a context manager. It ends when its principal expires."""
        stream = OpenStream(pool, auth, credential, call, end)
        self._streams.add(stream)
        principal = call.principal
        expiry = _Expiry(principal.expires_at, end) if principal.expires_at is not None else None
        try:
            yield
        finally:
            self._streams.discard(stream)
            if expiry is not None:
                expiry.cancel()

    def end_unless(self, may_stay: Callable[[OpenStream], bool]) -> None:
        """End the streams that may not stay."""
        for stream in [s for s in self._streams if not may_stay(s)]:
            stream.end()


class _Expiry:
    """Calls `end` at a wall-clock time."""

    def __init__(self, at: float, end: Callable[[], None]) -> None:
        self._at = at
        self._end = end
        self._timer = self._set()

    def cancel(self) -> None:
        """The stream has ended before."""
        self._timer.cancel()

    def _set(self) -> asyncio.TimerHandle:
        wait = min(max(self._at - time.time(), 0.0), LONGEST_TIMER)
        return asyncio.get_running_loop().call_later(wait, self._look)

    def _look(self) -> None:
        if time.time() >= self._at:
            self._end()
        else:
            self._timer = self._set()
