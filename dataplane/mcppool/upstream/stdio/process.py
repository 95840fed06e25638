"""One process that speaks JSON-RPC on its standard streams, one message per line."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Protocol

from mcppool.upstream.failures import ConnectionLost
from mcppool.upstream.stdio.launcher import ChildProcess, Launcher
from mcppool.upstream.stdio.lines import Lines, open_lines
from mcppool.upstream.stdio.streams import Input, open_input, shown
from mcppool.wire.bulk import BULK

LINE_LIMIT = 64 * 1024 * 1024  # bytes of one message
SAID_LIMIT = 4096  # bytes of a line on standard error
PATIENCE = 2.0  # seconds after SIGTERM, and after the end of its input, until SIGKILL
LAST_WORDS = 1.0  # seconds after its exit in which its remaining output is still read
POSTED_LIMIT = 1024 * 1024  # bytes that a program may leave unread before the gateway's own notices are dropped


class MessageHandler(Protocol):
    """The listener of a process."""

    def heard(self, line: bytes) -> None:
        """A line of its standard output, which should be a message."""

    def said(self, line: str) -> None:
        """A line of its standard error, safe to show."""

    def over(self) -> None:
        """It has ended; nothing follows."""


class Process:
    """Runs from `start` until it exits or `stop`; then `ended` is set, and `end` describes the end."""

    def __init__(
        self, launcher: Launcher, command: Sequence[str], environment: Mapping[str, str], hearer: MessageHandler
    ) -> None:
        self._launcher = launcher
        self._command = command
        self._environment = environment
        self._hearer = hearer
        self._child: ChildProcess | None = None
        self._input = Input()
        self._messages = Lines(LINE_LIMIT, self._message, self._too_long, self._output_ended)
        self._errors = Lines(SAID_LIMIT, self._said, self._said, self._errors_ended)
        self._exited = asyncio.Event()
        self._stopping = False
        self._ending: asyncio.TimerHandle | None = None
        self._output_over = self._errors_over = False
        self.ended = asyncio.Event()
        self.end = "it has not ended"

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._child.pid if self._child is not None else None

    async def start(self) -> None:
        """Start it, in a new session. Raises OSError if the command cannot be run."""
        child = self._child = await self._launcher.start(self._command, self._environment, self._exit)
        opening = asyncio.ensure_future(self._open(child))
        try:
            # A pipe whose opening is cancelled is closed by its loop and by its file: the second may hit another file.
            await asyncio.shield(opening)
        except BaseException:
            child.kill()
            opening.add_done_callback(lambda _: self._over())
            raise

    async def _open(self, child: ChildProcess) -> None:
        self._input = await open_input(child.stdin)
        await open_lines(child.stdout, self._messages)
        await open_lines(child.stderr, self._errors)

    async def send(self, message: bytes) -> None:
        """Write one message, after the program has read the ones before. A large message is written in the background
        from then on, and must not change.

        Raises ConnectionLost if the process is gone: it did not get the message.
        """
        try:
            await self._input.write(message)
        except BrokenPipeError as error:
            raise ConnectionLost("the process has ended") from error

    def post(self, message: bytes) -> None:
        """Write a notice of the gateway at once. A program that does not read, or has ended, does not get it."""
        if not self._input.closing and self._input.waiting < POSTED_LIMIT:
            self._input.write_notice(message)

    def pause(self) -> None:
        """Stop reading: the program waits when its pipe is full."""
        self._messages.pause()

    def resume(self) -> None:
        """Read on."""
        self._messages.resume()

    async def stop(self) -> None:
        """End it and everything that it has started: its input first, then SIGTERM, then SIGKILL."""
        self._stopping = True
        child = self._child
        if child is not None and not self._exited.is_set():
            self._input.close()
            child.signal(signal.SIGTERM)
            if not await self._exits():
                child.kill()
                await self._exits()
        self._over()

    def abandon(self, why: str) -> None:
        """End it and everything that it has started at once: it hangs, and reacts to nothing else."""
        if not self._exited.is_set():
            self.end = f"{why}, and was ended"
            self._kill()

    async def _exits(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._exited.wait()
        except TimeoutError:
            return False

    # --- inside --------------------------------------------------------------------------------------------------

    def _message(self, line: bytes) -> None:
        if len(line) <= BULK:
            line = line.strip()
        if line and not self.ended.is_set():
            self._hearer.heard(line)

    def _too_long(self, _line: bytes) -> None:
        self._hearer.said(f"a message of more than {LINE_LIMIT} bytes")
        self.end = f"it wrote a message of more than {LINE_LIMIT} bytes, and was ended"
        self._kill()

    def _said(self, line: bytes) -> None:
        self._hearer.said(shown(line))

    def _exit(self, status: int | None) -> None:
        """It has exited, and everything that it had started has ended: only the rest in the pipe may still come."""
        self.end = _end_of(status) if self.end == "it has not ended" else self.end
        self._exited.set()
        if self.ended.is_set():
            return
        if self._output_over and self._errors_over:
            self._over()
            return
        self._ending = asyncio.get_running_loop().call_later(LAST_WORDS, self._end_last_words)

    def _end_last_words(self) -> None:
        """Its remaining output should have come; a large message of it may still be read."""
        if self._messages.behind:
            self._ending = asyncio.get_running_loop().call_later(LAST_WORDS, self._end_last_words)
        else:
            self._over()

    def _output_ended(self) -> None:
        """Without its output it is useless, whether it has exited or not."""
        self._output_over = True
        if self._stopping:
            self._over()
            return
        if self._exited.is_set():
            if self._errors_over:
                self._over()
            return
        asyncio.get_running_loop().call_later(LAST_WORDS, self._end_without_output)

    def _errors_ended(self) -> None:
        """Its last words often say why it ended, so its end waits for them."""
        self._errors_over = True
        if self._exited.is_set() and self._output_over:
            self._over()

    def _end_without_output(self) -> None:
        if not self._exited.is_set():
            self.end = "it closed its standard output, and was ended"
            self._kill()
        self._over()

    def _kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    def _over(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        if self.ended.is_set():
            return
        self.ended.set()
        self._input.abort()
        self._messages.close()
        self._errors.close()
        self._hearer.over()


def _end_of(status: int | None) -> str:
    if status is None:
        return "it was ended with the keeper of local servers"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"it exited with code {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"
