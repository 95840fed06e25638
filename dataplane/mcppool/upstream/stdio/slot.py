"""One replica of a local server: its process, kept running, and the socket file where it is reached."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from aiohttp import web

from mcppool.policy.backoff import exponential, full_jitter
from mcppool.spec import PoolSpec
from mcppool.upstream.failures import ConnectionLost
from mcppool.upstream.stdio.adapter import Adapter, speaks_modern
from mcppool.upstream.stdio.conversation import Conversation
from mcppool.upstream.stdio.process import Process

STEADY = 10.0  # seconds after which a process that ended has run well, and the back-off begins anew
SWEEP = 1.0
SLOWEST = 5.0  # seconds between two tries of a program that does not run, at least in the end: processes are dear
MOST_TOLD = 200  # different things that are remembered of a program which does not run

OnEvent = Callable[[str, str], None]
"""Told `started`, `ended`, `failed` or `stderr` with what there is to say."""


class Slot:
    """Listens on `path` while its process runs; refuses connections, as a dead server does, while it does not.

    A program that ends again and again before it serves is told of once: what it says and why it failed are not
    repeated until it has run.
    """

    def __init__(self, path: Path, command: Sequence[str], spec: PoolSpec, on_event: OnEvent) -> None:
        self.path = path
        self._command = command
        self._spec = spec
        self._on_event = on_event
        self._conversations: list[Conversation] = []
        self._serves = False
        self._told: set[tuple[str, str]] = set()
        self._task = asyncio.create_task(self._keep_running(), name=f"slot {path.name}")

    async def stop(self) -> None:
        """End the processes and the socket."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _keep_running(self) -> None:
        failures = 0
        limits = self._spec.connection_pool
        while True:
            began = monotonic()
            try:
                await self._run()
            except (OSError, ConnectionLost) as error:
                self._tell("failed", f"{self._command[0]}: {error}")
            failures = 0 if monotonic() - began >= STEADY else failures + 1
            longest = max(limits.max_reconnect_backoff, SLOWEST)
            wait = exponential(max(failures, 1), limits.reconnect_backoff, longest)
            await asyncio.sleep(full_jitter(wait, random.Random()))

    async def _run(self) -> None:
        """One life of the main process; at its end, all that was started besides it ends too."""
        try:
            main = await self._spawn()
            await self._serve(main, modern=await speaks_modern(main))
        finally:
            self.path.unlink(missing_ok=True)
            conversations, self._conversations = self._conversations, []
            await asyncio.gather(*(conversation.process.stop() for conversation in conversations))

    async def _serve(self, main: Conversation, *, modern: bool) -> None:
        sessions = self._spec.sessions
        adapter = Adapter(
            main,
            self._spawn,
            modern=modern,
            shared=sessions.stateless,
            idle_timeout=sessions.idle_timeout,
            max_sessions=sessions.max_sessions,
        )
        runner = web.AppRunner(
            adapter.app(), access_log=None, handler_cancellation=True, keepalive_timeout=3600, shutdown_timeout=0.1
        )
        try:
            await runner.setup()
            await web.UnixSite(runner, str(self.path)).start()
            self._serves = True
            self._told.clear()
            self._on_event("started", f"process {main.process.pid}")
            while not main.process.ended.is_set():
                try:
                    async with asyncio.timeout(SWEEP):
                        await main.process.ended.wait()
                except TimeoutError:
                    await adapter.sweep(monotonic())
                    self._conversations = [c for c in self._conversations if not c.process.ended.is_set()]
            self._on_event("ended", f"process {main.process.pid}")
        finally:
            self._serves = False
            main.close()
            await runner.cleanup()

    async def _spawn(self) -> Conversation:
        """A process of the server, and the conversation with it. Raises OSError."""
        conversation: Conversation

        def heard(line: bytes) -> None:
            conversation.heard(line)

        def ended() -> None:
            conversation.close()

        process = Process(self._command, heard, lambda line: self._tell("stderr", line), ended)
        conversation = Conversation(process)
        self._conversations.append(conversation)
        await process.start()
        return conversation

    def _tell(self, what: str, detail: str) -> None:
        """Tell of something, while it does not run only once."""
        if self._serves:
            self._on_event(what, detail)
        elif (what, detail) not in self._told:
            if len(self._told) < MOST_TOLD:
                self._told.add((what, detail))
            self._on_event(what, detail)
