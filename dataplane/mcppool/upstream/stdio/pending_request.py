"""A request in flight on a process, and the messages that wait for its caller."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from mcppool.policy.memory_budget import MemoryAccount
from mcppool.wire.rpc_request import RpcRequest

BACKLOG = 1024 * 1024  # bytes that may wait for one caller, in addition to one message
ASIDE = ("server/discover", "subscriptions/listen")
"""Requests beside which a call has its process for itself: no log messages belong to them."""


class Inbox:
    """Messages that wait for one caller, and their size in bytes. None is the end."""

    def __init__(self, account: MemoryAccount | None, on_room: Callable[[], None] = lambda: None) -> None:
        self.size = 0
        self._account = account
        self._messages: deque[bytes | None] = deque()
        self._there = asyncio.Event()
        self._on_room = on_room

    def __len__(self) -> int:
        """Number of waiting messages, the end included."""
        return len(self._messages)

    @property
    def full(self) -> bool:
        """Whether more than `BACKLOG` bytes wait."""
        return self.size > BACKLOG

    def put(self, message: bytes | None) -> None:
        """Add a message, or the end."""
        self._messages.append(message)
        self._count(len(message or b""))
        self._there.set()

    async def get(self) -> bytes | None:
        """The next message; waits for one."""
        while not self._messages:
            self._there.clear()
            await self._there.wait()
        message = self._messages.popleft()
        was_full = self.full
        self._count(-len(message or b""))
        if was_full and not self.full:
            self._on_room()
        return message

    def clear(self) -> None:
        """Drop everything: the caller is gone."""
        self._messages.clear()
        self._count(-self.size)

    def _count(self, size: int) -> None:
        self.size += size
        if self._account is not None:
            self._account.charge(size) if size > 0 else self._account.release(-size)


class PendingRequest:
    """One request in flight: the messages that belong to it, the answer last, then None.

    `caller` tells callers apart, because several may give the same id; `answered`: no message comes after the last one;
    `logs`: it asked for log messages; `aside`: no log messages belong to it, as to a request of the prober; `alone`: no
    other request was in flight since it began, apart from those aside.
    """

    def __init__(
        self, request: RpcRequest, caller: str, inbox: Inbox, *, logs: bool = False, aside: bool = False
    ) -> None:
        self.client_id = request.id or b"null"
        self.token = bytes(request.progress_token) if request.progress_token is not None else None
        self.aside = aside or request.method in ASIDE
        self.caller = caller
        self.logs = logs
        self.alone = True
        self.answered = False
        self.messages = inbox
