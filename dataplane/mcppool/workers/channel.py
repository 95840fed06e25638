"""Messages between the supervisor and one worker, over a pair of sockets.

Both ends are alike: each may ask, and gets an answer; and tell, and gets none. A message is a MessagePack array behind
its length. Nothing from outside the gateway's own processes reaches the socket.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, cast

import msgspec

from mcppool.observe.logs import get_logger

ASK: Final = 0
ANSWER: Final = 1
TELL: Final = 2
CANCEL: Final = 3

MAX_UNSENT: Final = 8 * 1024 * 1024
"""Bytes that wait for the other end, above which news that may be lost is left out."""

_LENGTH: Final = 4

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

log = get_logger("workers")

OnAsk = Callable[[str, list[Any]], Any]
"""Called with the name of a question and its arguments; returns the answer, or an awaitable of it."""

OnTell = Callable[[str, list[Any]], None]
OnAbandoned = Callable[[Any], None]
"""Called with an answer for which nobody waits any more."""


class ChannelClosed(Exception):
    """The other process has ended."""


class Channel(asyncio.Protocol):
    """One end. `closed` is set when the other process has ended."""

    def __init__(self, on_ask: OnAsk, on_tell: OnTell) -> None:
        self.closed = asyncio.Event()
        self._on_ask = on_ask
        self._on_tell = on_tell
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._abandoned: dict[int, OnAbandoned] = {}
        self._answering: dict[int, asyncio.Task[None]] = {}
        self._last = 0
        self._unwritten = bytearray()  # messages of this turn of the loop

    async def open(self, sock: socket.socket) -> None:
        """Talk over this socket."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=sock)

    async def ask(self, name: str, *arguments: Any, on_abandoned: OnAbandoned | None = None) -> Any:
        """Return the other end's answer. Raises ChannelClosed.

        `on_abandoned` gets the answer if the caller is cancelled before it comes.
        """
        if self.closed.is_set():
            raise ChannelClosed
        self._last = number = self._last + 1
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._send([ASK, number, name, *arguments])
        try:
            return await answer
        except asyncio.CancelledError:
            if not answer.cancelled():  # the answer came in the same turn of the loop
                if on_abandoned is not None and answer.exception() is None:
                    on_abandoned(answer.result())
            elif not self.closed.is_set():
                self._abandoned[number] = on_abandoned or _ignore
                self._send([CANCEL, number])
            raise
        finally:
            self._asked.pop(number, None)

    def tell(self, name: str, *arguments: Any, optional: bool = False) -> None:
        """Tell the other end. News that is `optional` is left out while too much is unsent."""
        if self._transport is None or (optional and self._unsent > MAX_UNSENT):
            return
        self._send([TELL, 0, name, *arguments])

    def close(self) -> None:
        """End the conversation, after what was written has been sent."""
        if self._transport is not None:
            self._flush()
            self._transport.close()

    # --- asyncio.Protocol ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by their class

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        buffer = self._buffer
        buffer += data
        begin = 0
        while len(buffer) - begin >= _LENGTH:
            end = begin + _LENGTH + int.from_bytes(buffer[begin : begin + _LENGTH], "big")
            if len(buffer) < end:
                break
            message = _decode(bytes(buffer[begin + _LENGTH : end]))
            begin = end
            self._take(message)
        del buffer[:begin]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (a protocol's)
        """See `asyncio.Protocol`."""
        self._transport = None
        self.closed.set()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ChannelClosed())
        self._abandoned.clear()
        for task in self._answering.values():
            task.cancel()

    # --- inside --------------------------------------------------------------------------------------------------

    @property
    def _unsent(self) -> int:
        """Bytes that wait for the other end."""
        return len(self._unwritten) + (self._transport.get_write_buffer_size() if self._transport is not None else 0)

    def _send(self, message: list[Any]) -> None:
        """Send a message with the others of this turn of the loop: under load, a write of its own for each would cost
        more than all the rest."""
        if self._transport is None:
            return
        data = _encode(message)
        if not self._unwritten:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unwritten += len(data).to_bytes(_LENGTH, "big") + data

    def _flush(self) -> None:
        if self._transport is not None and self._unwritten:
            self._transport.write(bytes(self._unwritten))
        self._unwritten.clear()

    def _take(self, message: list[Any]) -> None:
        kind, number, *rest = message
        if kind == ANSWER:
            abandoned = self._abandoned.pop(number, None)
            waiting = self._asked.get(number)
            if waiting is not None and not waiting.done():
                waiting.set_result(rest[0])
            elif abandoned is not None:
                abandoned(rest[0])
        elif kind == CANCEL:
            task = self._answering.get(number)
            if task is not None:
                task.cancel()
        elif kind == TELL:
            self._guarded(lambda: self._on_tell(rest[0], rest[1:]))
        else:
            answer = self._guarded(lambda: self._on_ask(rest[0], rest[1:]))
            if asyncio.iscoroutine(answer):
                task = asyncio.create_task(self._answer_later(number, answer), name=f"answer {rest[0]}")
                self._answering[number] = task
                task.add_done_callback(lambda task: self._answered(number, answer, task))
            else:
                self._send([ANSWER, number, answer])

    def _answered(self, number: int, answer: Coroutine[Any, Any, Any], task: asyncio.Task[None]) -> None:
        self._answering.pop(number, None)
        if task.cancelled():  # before it began: the question and the word that nobody waits came together
            answer.close()
            self._send([ANSWER, number, None])

    async def _answer_later(self, number: int, awaited: Awaitable[Any]) -> None:
        answer = None
        try:
            answer = await awaited
        except asyncio.CancelledError:
            pass  # the other end no longer waits, and still gets an answer, so that it can forget the question
        except Exception as error:
            log.error("worker_message_failed", exception=repr(error))
        self._send([ANSWER, number, answer])

    def _guarded(self, step: Callable[[], Any]) -> Any:
        try:
            return step()
        except Exception as error:
            log.error("worker_message_failed", exception=repr(error))
            return None


def _ignore(_: Any) -> None:
    pass
