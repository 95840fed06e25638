"""One replica of a local server: its processes, kept running, and its socket file."""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic

from mcppool.policy.backoff import exponential, full_jitter
from mcppool.policy.memory_budget import MemoryAccount
from mcppool.policy.token_bucket import TokenBucket
from mcppool.spec import PoolSpec
from mcppool.supervision import supervise
from mcppool.upstream.failures import ConnectionLost
from mcppool.upstream.stdio.adapter import Adapter
from mcppool.upstream.stdio.conversation import Callers, Conversation
from mcppool.upstream.stdio.era import EraFinding, Main, begin
from mcppool.upstream.stdio.launcher import Launcher
from mcppool.upstream.stdio.process import Process
from mcppool.upstream.stdio.quota import Quota
from mcppool.upstream.stdio.slot_state import SlotState
from mcppool.upstream.stdio.socket_listener import SocketListener
from mcppool.upstream.stdio.streams import shown

STEADY = 10.0  # seconds after which an ended process counts as having run well, and the back-off starts anew
SWEEP = 1.0
SLOWEST = 5.0  # upper bound on the seconds between two starts of a program that does not run: processes are expensive
MAX_TOLD = 200  # different messages that are remembered of a program that does not run
SAID_RATE, SAID_BURST = 20.0, 200.0  # lines of standard error that are logged: per second, and at once

OnEvent = Callable[[str, str], None]
"""Called with `started`, `ended`, `failed`, `unreadable` or `stderr`, and a text about it."""


@dataclass(frozen=True, slots=True)
class Shared:
    """The state that the replicas of a pool share. `spec` is the specification in force; `sole_client` is the
    `clientInfo` of the only client, where there is only one."""

    spec: Callable[[], PoolSpec]
    launcher: Launcher
    quota: Quota
    finding: EraFinding
    environment: Mapping[str, str]
    sole_client: Mapping[str, str] | None = None
    attended: Callable[[str], bool] = lambda _id: False
    account: MemoryAccount | None = None


@dataclass(slots=True)
class Run:
    """One run of the program: its processes, and whether it is over."""

    conversations: list[Conversation] = field(default_factory=list)
    over: bool = False

    def demand(self) -> None:
        """Raise OSError if it is over."""
        if self.over:
            raise OSError(errno.ESRCH, "its program has ended")

    async def end(self) -> None:
        """End all processes, and start no more."""
        self.over = True
        conversations, self.conversations = self.conversations, []
        await asyncio.gather(*(conversation.process.stop() for conversation in conversations))


class Slot:
    """Listens on `path` while its program runs; refuses connections, like a dead server, while it does not.

    A program that keeps ending before it serves is reported once: its output and its failures are not repeated until it
    has run.
    """

    def __init__(self, path: Path, shared: Shared, on_event: OnEvent) -> None:
        self.path = path
        self.state = SlotState()
        self._shared = shared
        self._command = shared.spec().command
        self._on_event = on_event
        self._leaving: dict[asyncio.Task[None], SocketListener] = {}
        self._first: Process | None = None  # answers the checks
        self._serves = False
        self._told: set[tuple[str, str]] = set()
        self._said = TokenBucket(SAID_BURST, monotonic())
        self._unsaid = 0
        self._task = supervise("local server", self._keep_running, about=path.name)

    async def stop(self) -> None:
        """End the processes and the socket."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*(listener.abort() for listener in self._leaving.values()))

    def restart(self) -> bool:
        """End the first process, which hangs, and start another one in its place. Returns whether calls of clients may
        have gone there, too."""
        if self._first is not None:
            self._first.abandon("it answered nothing")
            self._first, self.state.first = None, 0
        return not self.state.apart

    async def _keep_running(self) -> None:
        failures = 0
        while True:
            began = monotonic()
            try:
                await self._run()
            except (OSError, ConnectionLost) as error:
                self._fail(error)
            failures = 0 if monotonic() - began >= STEADY else failures + 1
            limits = self._shared.spec().connection_pool
            longest = max(limits.max_reconnect_backoff, SLOWEST)
            wait = exponential(max(failures, 1), limits.reconnect_backoff, longest)
            await asyncio.sleep(full_jitter(wait, random.Random()))

    def _fail(self, error: OSError | ConnectionLost) -> None:
        why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        self.state.trouble = f"{self._command[0]}: {why}"
        self._tell("failed", self.state.trouble)

    async def _run(self) -> None:
        """One run of the program; at its end, all its processes end."""
        run = Run()
        try:
            main = await self._begin(run)
            await self._serve(main, run)
        finally:
            self.path.unlink(missing_ok=True)
            await run.end()

    async def _begin(self, run: Run) -> Main:
        spawn = partial(self._spawn, run)
        if self._shared.sole_client is None:
            return await begin(spawn, self._shared.finding)
        return await begin(spawn, self._shared.finding, self._shared.sole_client)

    async def _serve(self, main: Main, run: Run) -> None:
        shared = self._shared
        adapter = Adapter(
            main,
            partial(self._spawn, run),
            shared.quota,
            spec=shared.spec,
            sole_client=shared.sole_client,
            attended=shared.attended,
        )
        listener = SocketListener(adapter.app(), self.path)
        try:
            await listener.open()
            self._serves = True
            self._told.clear()
            while True:
                shared_by_all = main.greeting is None or shared.spec().sessions.stateless
                self.state.apart = not shared_by_all and shared.sole_client is None
                self.state.trouble = ""
                self._on_event("started", f"process {main.conversation.process.pid}")
                await self._watch(adapter, main.conversation, run)
                if shared_by_all:
                    break
                main = await self._begin(run)  # the sessions have processes of their own, and go on
                adapter.replace(main)
        finally:
            self._serves = False
            adapter.spare.stop()
            adapter.sessions.drop_all()
            # The next run need not wait for clients that are still reading what this one has answered.
            leaving = await listener.leave()
            self._leaving[leaving] = listener
            leaving.add_done_callback(self._leaving.pop)

    async def _watch(self, adapter: Adapter, main: Conversation, run: Run) -> None:
        """Watch until the first process has ended."""
        process = self._first = main.process
        self.state.first = process.pid or 0
        while not process.ended.is_set():
            try:
                async with asyncio.timeout(SWEEP):
                    await process.ended.wait()
            except TimeoutError:
                await adapter.sweep(monotonic())
                run.conversations = [c for c in run.conversations if not c.process.ended.is_set()]
        self.state.trouble = f"{self._command[0]}: {process.end}"
        self._on_event("ended", f"process {process.pid}: {process.end}")

    async def _spawn(self, run: Run, callers: Callers) -> Conversation:
        """A new process of the program, and the conversation with it. Raises OSError."""
        run.demand()
        shared = self._shared
        ears = _Ears(self)
        process = Process(shared.launcher, self._command, shared.environment, ears)
        conversation = Conversation(process, callers, account=shared.account, on_unreadable=self._unreadable)
        ears.conversation = conversation
        self.state.processes += 1
        shared.quota.running += 1  # from here on, so that the last place is given once
        try:
            await process.start()
        except BaseException:
            if process.pid is None:  # it never ran, so nothing reports its end
                self.state.processes -= 1
                shared.quota.running -= 1
            raise
        self.state.starts += 1
        run.conversations.append(conversation)
        if run.over:
            await run.end()
            run.demand()
        return conversation

    # --- what its processes say ------------------------------------------------------------------------------------

    def process_ended(self, process: Process) -> None:
        """A process has ended."""
        self.state.processes -= 1
        self.state.last_end = process.end
        self._shared.quota.running -= 1

    def said(self, line: str) -> None:
        """A line of standard error. Lines above the rate are only counted."""
        if self._said.take(SAID_RATE, SAID_BURST, monotonic()):
            self._unsaid += 1
            return
        if self._unsaid:
            line, self._unsaid = f"{line} (and {self._unsaid} earlier lines that are not shown)", 0
        self._tell("stderr", line)

    def _unreadable(self, line: bytes) -> None:
        self.state.unreadable += 1
        if self.state.unreadable == 1:
            self.state.first_unreadable = shown(line)
            self._on_event("unreadable", self.state.first_unreadable)

    def _tell(self, what: str, detail: str) -> None:
        """Report something, only once while it does not run."""
        if self._serves:
            self._on_event(what, detail)
        elif (what, detail) not in self._told:
            if len(self._told) < MAX_TOLD:
                self._told.add((what, detail))
            self._on_event(what, detail)


class _Ears:
    """Passes the output of one process on to its conversation and its slot."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self.conversation: Conversation | None = None

    def heard(self, line: bytes) -> None:
        """A line of output."""
        if self.conversation is not None:
            self.conversation.heard(line)

    def said(self, line: str) -> None:
        """A line of standard error."""
        self._slot.said(line)

    def over(self) -> None:
        """The process has ended."""
        if self.conversation is not None:
            self.conversation.close()
            self._slot.process_ended(self.conversation.process)
