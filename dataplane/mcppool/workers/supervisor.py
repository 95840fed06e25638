"""The process that starts the workers of a gateway, keeps them running, and answers on the admin port for all."""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final

import msgspec

from mcppool.discovery.source import Source
from mcppool.gateway.admin_port import AdminPort, open_admin_port
from mcppool.gateway.listen_hosts import is_in_pod, listen_hosts
from mcppool.gateway.preflight import preflight
from mcppool.observe import logs
from mcppool.observe.history.history import History
from mcppool.observe.history.slots import GatewaySlot
from mcppool.spec import Snapshot
from mcppool.spec.address import with_port
from mcppool.supervision import guard, supervise
from mcppool.wire.sealing import generate_key_line
from mcppool.workers import sockets
from mcppool.workers.channel import Channel, ChannelClosed
from mcppool.workers.hang_watch import HangWatch
from mcppool.workers.merged_gateways import merged_gateways
from mcppool.workers.merged_metrics import MergedFamily, counts, merged
from mcppool.workers.shared_programs import OF_PROGRAMS, SharedPrograms
from mcppool.workers.shared_state import SharedState
from mcppool.workers.worker_process import Place, WorkerProcess, ask_each, how_it_ended

PATIENCE: Final = 10.0
"""Seconds beyond the drain time in which a worker must end, before it is killed."""

EVENT_PATIENCE: Final = 5.0
"""Seconds in which the other workers act on an event in a session; then it is handled without them."""

HANG_WATCH: Final = HangWatch()

log = logs.get_logger("workers")


class StartFailed(Exception):
    """A worker could not begin; `problems` says why, unless it has said so itself."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Supervisor:
    """Runs `count` workers. `command` gives the command that starts one with this descriptor for its channel.

    `snapshot` is the configuration at the start, which sets the address and the admin port. `source` has the later
    ones, which the workers follow, too. A worker that hangs, as `hang_watch` tells it, is killed and replaced.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        count: int,
        command: Callable[[int], Sequence[str]],
        source: Source,
        hang_watch: HangWatch = HANG_WATCH,
    ) -> None:
        self.snapshot = snapshot
        self._newest = snapshot
        self._source = source
        self.count = count
        self.started_at = datetime.now(UTC)
        self.ended_by_themselves = 0
        self.history = History()
        """The last ten minutes of all workers together."""
        self.counted: list[MergedFamily] = []
        """The counts of workers that have ended."""
        self._command = command
        self._hang_watch = hang_watch
        self._keys = generate_key_line(time.time())
        self._state = SharedState(count, self._call_back)
        self._trials = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the gateway runs)
        """Stays empty: locks of it are the workers' claims to trial calls."""
        self._directory = Path(tempfile.gettempdir()) / f"mcppool-{secrets.token_hex(8)}"
        self._programs = SharedPrograms(self._directory, self._tell)
        self._programs.configure(snapshot)
        self._addresses: list[sockets.Address] = []
        self._places: list[Place] = []
        self._all: dict[int, WorkerProcess] = {}
        self._last = 0
        self._rng = random.Random()
        self._tasks: set[asyncio.Task[None]] = set()
        self._admin: AdminPort | None = None
        self._stopping = False
        self._rolling: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """The address for clients."""
        _, host, port = self._addresses[0]
        return host, port

    @property
    def admin_port(self) -> int | None:
        """The port of metrics and health, None if it is off."""
        return self._admin.port if self._admin is not None else None

    @property
    def workers(self) -> list[WorkerProcess]:
        """The workers that serve."""
        return [worker for worker in self._all.values() if worker.serving.is_set() and not worker.ended.is_set()]

    def missing(self) -> Iterator[tuple[int, str]]:
        """The places without a worker that serves, each with the reason."""
        for place in self._places:
            if place.worker is None or not place.worker.serving.is_set():
                yield place.number, place.last_end or "it has not started yet"

    async def start(self, pages: Callable[[], Any]) -> None:
        """Start all workers and the admin port. Raises StartFailed, OSError if a port is taken, ConfigError."""
        listener = self.snapshot.listener
        hosts = listen_hosts(listener.host, in_pod=is_in_pod(self.snapshot))
        first = sockets.reserve(hosts, listener.port)
        self._addresses = sockets.addresses(first)
        self._tasks.add(supervise("configuration", partial(self._source.watch, self._follow, lambda _error: None)))
        self._places = [Place(1, first)]
        self._places += [Place(number, sockets.bind(self._addresses)) for number in range(2, self.count + 1)]
        for place in self._places:
            place.worker = await self._start(place)
        for place in self._places:
            if place.worker is None or not await place.worker.begins():
                raise StartFailed(place.worker.problems if place.worker is not None else [])
        if self.snapshot.metrics.enabled:
            self._admin = await open_admin_port(
                self.snapshot, pages, lambda: self.snapshot.metrics.gateways, merged_gateways
            )
        log.event("serving", listen=with_port(*self.address), admin_port=self.admin_port, workers=self.count)

    async def stop(self) -> None:
        """Let all workers finish their calls, and end."""
        self._stopping = True
        if self._rolling is not None:
            self._rolling.cancel()
        for place in self._places:
            sockets.close(place.sockets)
        running = [worker for worker in self._all.values() if not worker.ended.is_set()]
        await asyncio.gather(*(self._end(worker) for worker in running))
        await asyncio.gather(*(worker.ended.wait() for worker in self._all.values()))  # those that began meanwhile
        await self._programs.stop()
        self._trials.close()
        if self._admin is not None:
            await self._admin.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self._all.values():
            worker.signal(signal.SIGKILL)

    @property
    def is_rolling(self) -> bool:
        """Whether a reload replaces workers at this moment."""
        return self._rolling is not None and not self._rolling.done()

    def reload(self) -> None:
        """Replace the workers one after another: each new one serves before the old one drains."""
        self._source.reload()
        if not self.is_rolling:
            self._rolling = guard("rolling reload", self._roll())
        else:
            log.warning("rolling_reload_runs", detail="it goes on; a second one does not begin meanwhile")

    async def ask(self, page: str, timeout: float) -> list[tuple[int, Any]]:
        """A page of each worker that serves, with the number of its place; without those that do not answer in time."""
        answers = await ask_each(self.workers, timeout, lambda worker: worker.channel.ask("page", page))
        return [(worker.place, answer) for worker, answer in answers]

    async def metrics(self, timeout: float) -> list[MergedFamily]:
        """The metrics of all workers, of those that have ended, too. A worker that does not answer in time counts with
        what it last told, so that no counter goes back."""
        answered = {worker for worker, _ in await ask_each(self.workers, timeout, WorkerProcess.ask_metrics)}
        ended, answers = self.counted, []
        for worker in self.workers:  # without a wait from here on: one that ends is in `counted`, or here
            if worker in answered:
                answers.append((worker.place, worker.last))
            else:
                ended = counts(worker.last, ended)
        return merged(answers, ended)

    # --- inside --------------------------------------------------------------------------------------------------

    def _follow(self, snapshot: Snapshot) -> None:
        """A new configuration. Workers report the mistakes in it."""
        if not preflight(snapshot):
            self._newest = snapshot
            self._programs.configure(snapshot)

    async def _start(self, place: Place) -> WorkerProcess:
        """Start a worker; raises OSError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self._last = number = self._last + 1
        fds = [sock.fileno() for sock in place.sockets]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command(theirs.fileno()),
                pass_fds=(theirs.fileno(), self._trials.fileno(), *fds),
                stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        channel = Channel(
            lambda question, arguments: self._answer(number, question, arguments),
            lambda news, arguments: self._hear(worker, news, arguments),
        )
        worker = self._all[number] = WorkerProcess(number, place.number, process, channel)
        try:
            await channel.open(ours)
        except BaseException:
            ours.close()
            del self._all[number]
            worker.signal(signal.SIGKILL)
            raise
        orders = {
            "place": place.number, "places": self.count, "sockets": fds, "keys": self._keys,
            "programs": str(self._directory), "trials": self._trials.fileno(),
        }  # fmt: skip
        channel.tell("orders", orders)
        self._do(self._watch(place, worker), f"worker {number}")
        self._do(self._kill_when_hung(worker), f"worker {number}")
        if self._stopping:  # since the process began to start; it has no calls yet
            worker.signal(signal.SIGKILL)
        return worker

    def _answer(self, number: int, question: str, arguments: list[Any]) -> Any:
        """The answer to a worker's question, or a coroutine that waits for it."""
        if question == "session event":
            return self._ask_others(number, arguments)
        return self._state.answer(number, question, arguments)

    async def _ask_others(self, number: int, arguments: list[Any]) -> bytes | None:
        """There is an event in a session at one worker: another one may have the call. See `Peers.ask_others`."""
        others = [worker for worker in self.workers if worker.number != number]
        found = await ask_each(others, EVENT_PATIENCE, lambda other: other.channel.ask("session event", *arguments))
        return next((answer for _, answer in found), None)

    async def _call_back(self, number: int, pool: str, key: str) -> int:
        """Ask a worker for its spare places of a limit; those that it returns too late are given back, too."""
        worker = self._all.get(number)
        if worker is None:
            return 0

        def late(count: int | None) -> None:
            self._state.places.leave(number, pool, key, count or 0)

        try:
            count: int | None = await worker.channel.ask("call_back", pool, key, on_abandoned=late)
        except ChannelClosed:
            return 0
        return count or 0

    def _tell(self, number: int, news: str, *arguments: Any) -> None:
        worker = self._all.get(number)
        if worker is not None:
            worker.channel.tell(news, *arguments)

    def _hear(self, worker: WorkerProcess, news: str, arguments: list[Any]) -> None:
        if news == "news":
            pool, parts = arguments
            for other in self.workers:
                if other is not worker:
                    other.channel.tell("news", worker.number, pool, parts, optional=True)
        elif news == "serving":
            worker.serving.set()
        elif news == "failed":
            worker.problems = list(arguments[0])
        elif news == "history":
            self.history.add(msgspec.convert(arguments[0], GatewaySlot))
        elif news == "farewell":
            worker.last = arguments[0]
        elif news in OF_PROGRAMS:
            self._programs.hear(worker.number, news, arguments)
        else:
            self._state.hear(worker.number, news, arguments)

    async def _watch(self, place: Place, worker: WorkerProcess) -> None:
        """Wait for its end, and start another one in its place unless that was wanted."""
        status = await worker.process.wait()
        await worker.channel.closed.wait()
        worker.ended.set()
        self._state.places.gone(worker.number)
        self._programs.gone(worker.number)
        self.counted = counts(worker.last, self.counted)
        self._all.pop(worker.number, None)
        if self._stopping or place.worker is not worker:
            return
        place.worker = None
        self.ended_by_themselves += 1
        place.last_end = why = worker.killed_because or "; ".join(worker.problems) or how_it_ended(status)
        wait = place.restarts.ended(monotonic() - worker.began, self._rng)
        log.error("worker_ended", worker=place.number, pid=worker.process.pid, how=why, restart_in=round(wait, 2))
        await self._fill(place, wait)

    async def _fill(self, place: Place, wait: float) -> None:
        """Start a worker in a place that has none, after so many seconds; try again until one has started."""
        while True:
            if place.restarts.gives_up_port:
                sockets.close(place.sockets)
                place.sockets = []
            await asyncio.sleep(wait)
            if self._stopping or place.worker is not None:
                return
            try:
                if not place.sockets:
                    place.sockets = sockets.bind(self._addresses)
                place.worker = started = await self._start(place)
            except OSError as error:
                place.last_end = f"it cannot be started: {error}"
                wait = place.restarts.ended(0.0, self._rng)
                log.error("worker_not_started", worker=place.number, error=str(error), again_in=round(wait, 2))
            else:
                break
        if await started.begins():
            log.event("worker_serves", worker=place.number, pid=started.process.pid)

    async def _kill_when_hung(self, worker: WorkerProcess) -> None:
        if seconds := await self._hang_watch.hangs(worker.channel):
            worker.killed_because = f"it did not answer for {seconds:g} s, and was killed"
            log.error("worker_hung", worker=worker.place, pid=worker.process.pid, detail=worker.killed_because)
            worker.signal(signal.SIGKILL)

    async def _roll(self) -> None:
        log.event("rolling_reload", workers=self.count)
        for place in self._places:
            old = place.worker
            if old is None:
                continue  # it starts again anyway
            try:
                new = await self._start(place)
            except OSError as error:
                log.error("rolling_reload_failed", worker=place.number, problems=[str(error)])
                return
            if not await new.begins():
                problems = new.problems or [new.killed_because or "it ended before it served"]
                log.error("rolling_reload_failed", worker=place.number, problems=problems)
                return
            if place.worker is not old:  # it has ended meanwhile, and has a successor already
                await self._end(new)
                continue
            place.worker = new
            log.event("worker_serves", worker=place.number, pid=new.process.pid)
            await self._end(old)
        log.event("rolling_reload_done", workers=self.count)

    async def _end(self, worker: WorkerProcess) -> None:
        """Let a worker finish its calls; kill it if it does not end in time."""
        worker.signal(signal.SIGTERM)
        drain = max((pool.timeouts.drain for pool in self._newest.pools), default=0.0)
        try:
            async with asyncio.timeout(drain + PATIENCE):
                await worker.ended.wait()
        except TimeoutError:
            log.error("worker_killed", worker=worker.place, detail="it did not end within its drain time")
            worker.signal(signal.SIGKILL)
            await worker.ended.wait()

    def _do(self, running: Any, name: str) -> None:
        task = guard("worker", running, about=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
