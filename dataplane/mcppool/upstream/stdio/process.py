"""One process that speaks JSON-RPC on its standard streams, a message a line."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import Callable, Sequence

from mcppool.upstream.failures import ConnectionLost

LINE_LIMIT = 64 * 1024 * 1024
PATIENCE = 2.0  # seconds after SIGTERM, and after the end of its input, until SIGKILL

OnMessage = Callable[[bytes], None]
OnLine = Callable[[str], None]


class Process:
    """Runs from `start` until it ends by itself or `stop`; `ended` is set then."""

    def __init__(
        self, command: Sequence[str], on_message: OnMessage, on_error_line: OnLine, on_end: Callable[[], None]
    ) -> None:
        self._command = command
        self._on_message = on_message
        self._on_error_line = on_error_line
        self._on_end = on_end
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.ended = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Start it, in a process group of its own. Raises OSError where the command cannot be run."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True, limit=LINE_LIMIT
        )
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._read_errors())]

    def send(self, message: bytes) -> None:
        """Write one message. Raises ConnectionLost where the process is gone: it has not had the message."""
        process = self._process
        if process is None or process.stdin is None or self.ended.is_set() or process.stdin.is_closing():
            raise ConnectionLost("the process has ended")
        # A message is one line. JSON has line breaks only between its tokens, where a space says the same.
        process.stdin.write(message.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")

    async def stop(self) -> None:
        """End it and all that it started: its input first, then SIGTERM, then SIGKILL."""
        process = self._process
        if process is not None and process.returncode is None:
            if process.stdin is not None:
                process.stdin.close()
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(PATIENCE):
                    await process.wait()
            except TimeoutError:
                pass
        self._signal(signal.SIGKILL)  # whatever is left of its group
        if process is not None:
            await process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._over()

    def _signal(self, number: int) -> None:
        if self._process is not None:
            try:
                os.killpg(self._process.pid, number)
            except (ProcessLookupError, PermissionError):
                pass  # nobody is left of it

    async def _read(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                line = line.strip()
                if line:
                    self._on_message(line)
        except ValueError:
            self._on_error_line(f"a message of more than {LINE_LIMIT} bytes")
            self._signal(signal.SIGKILL)
        finally:
            self._over()

    def _over(self) -> None:
        if not self.ended.is_set():
            self.ended.set()
            self._on_end()

    async def _read_errors(self) -> None:
        process = self._process
        assert process is not None
        assert process.stderr is not None
        try:
            while line := await process.stderr.readline():
                self._on_error_line(line.decode("utf-8", "replace").rstrip())
        except ValueError:
            pass  # a line longer than any that a person reads
