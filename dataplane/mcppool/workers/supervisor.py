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

from mcppool.discovery.source import Source, first_snapshot
from mcppool.gateway.admin_port import AdminPort, open_admin_port
from mcppool.gateway.fixed_settings import changed_for_a_gateway, changed_for_a_process
from mcppool.gateway.listen_hosts import is_in_pod, listen_hosts
from mcppool.gateway.preflight import preflight
from mcppool.observe import logs
from mcppool.observe.history.history import History
from mcppool.spec import ConfigError, Snapshot
from mcppool.spec.address import with_port
from mcppool.supervision import guard, supervise
from mcppool.wire.sealing import generate_key_line
from mcppool.workers import sockets
from mcppool.workers.hang_watch import HangWatch
from mcppool.workers.merged_gateways import merged_gateways
from mcppool.workers.merged_metrics import MergedFamily, counts, merged, still_there
from mcppool.workers.switchboard import Switchboard
from mcppool.workers.worker_process import Place, WorkerProcess, ask_each, how_it_ended

PATIENCE: Final = 10.0
"""Seconds beyond the drain time in which a worker must end, before it is killed."""

HANG_WATCH: Final = HangWatch()

log = logs.get_logger("workers")


class StartFailed(Exception):
    """A worker could not begin; `problems` says why, unless it has said so itself."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Supervisor:
    """Runs `count` workers. `command` gives the command that starts one with this descriptor for its channel.

    `snapshot` is the configuration at the start, which sets the address and the admin port. `source` makes a source of
    the later ones, which the workers follow, too. A worker that hangs, as `hang_watch` tells it, is killed and
    replaced.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        count: int,
        command: Callable[[int], Sequence[str]],
        source: Callable[[], Source],
        hang_watch: HangWatch = HANG_WATCH,
    ) -> None:
        self.snapshot = snapshot
        self._in_force = snapshot
        self._new_source = source
        self._source = source()
        self.count = count
        self.started_at = datetime.now(UTC)
        self.ended_by_themselves = 0
        self.counted: list[MergedFamily] = []
        """The counts of workers that have ended."""
        self._command = command
        self._hang_watch = hang_watch
        self._keys = generate_key_line(time.time())
        self._trials = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the gateway runs)
        """Stays empty: locks of it are the workers' claims to trial calls."""
        self._directory = Path(tempfile.gettempdir()) / f"mcppool-{secrets.token_hex(8)}"
        self._board = Switchboard(count, self._directory)
        self._board.programs.configure(snapshot)
        self._addresses: list[sockets.Address] = []
        self._places: list[Place] = []
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
        return self._board.serving

    @property
    def history(self) -> History:
        """The last ten minutes of all workers together."""
        return self._board.history

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
        running = [worker for worker in self._board if not worker.ended.is_set()]
        await asyncio.gather(*(self._end(worker) for worker in running))
        await asyncio.gather(*(worker.ended.wait() for worker in self._board))  # those that began meanwhile
        await self._board.programs.stop()
        self._trials.close()
        if self._admin is not None:
            await self._admin.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self._board:
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
        if self.counted and answered and answered.issuperset(self.workers):
            self.counted = still_there(self.counted, [worker.last for worker in self.workers])
        ended, answers = self.counted, []
        for worker in self.workers:  # without a wait from here on: one that ends is in `counted`, or here
            if worker in answered:
                answers.append((worker.place, worker.last))
            else:
                ended = counts(worker.last, ended)
        return merged(answers, ended)

    # --- inside --------------------------------------------------------------------------------------------------

    def _follow(self, snapshot: Snapshot) -> None:
        """A new configuration, if no worker refuses it. Workers report the mistakes in it."""
        if not preflight(snapshot) and not changed_for_a_process(self._in_force, snapshot):
            self._put_in_force(snapshot)

    def _put_in_force(self, snapshot: Snapshot) -> None:
        self._in_force = snapshot
        self._board.programs.configure(snapshot)

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
        channel = self._board.channel_to(number)
        worker = WorkerProcess(number, place.number, process, channel)
        self._board.add(worker)
        try:
            await channel.open(ours)
        except BaseException:
            ours.close()
            self._board.remove(worker)
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

    async def _watch(self, place: Place, worker: WorkerProcess) -> None:
        """Wait for its end, and start another one in its place unless that was wanted."""
        status = await worker.process.wait()
        await worker.channel.closed.wait()
        worker.ended.set()
        self.counted = counts(worker.last, self.counted)
        self._board.remove(worker)
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
        former = self._in_force
        wanted = former
        try:
            wanted = await self._wanted()
            self._put_in_force(wanted)
            for place in self._places:
                if place.worker is not None:  # otherwise it starts again anyway
                    await self._replace(place, place.worker)
        except StartFailed as error:
            if self._in_force is wanted:  # and no edit has come meanwhile
                self._put_in_force(former)
            log.error("rolling_reload_failed", problems=list(error.problems))
        else:
            log.event("rolling_reload_done", workers=self.count)

    async def _wanted(self) -> Snapshot:
        """The configuration for new workers. Raises StartFailed if they cannot serve it."""
        try:
            snapshot = await first_snapshot(self._new_source())
        except ConfigError as error:
            raise StartFailed([str(problem) for problem in error.problems]) from None
        if problems := [*preflight(snapshot), *changed_for_a_gateway(self.snapshot, snapshot)]:
            raise StartFailed([str(problem) for problem in problems])
        return snapshot

    async def _replace(self, place: Place, old: WorkerProcess) -> None:
        """Start a worker in the place of another one, which then drains. Raises StartFailed if it does not serve."""
        try:
            new = await self._start(place)
        except OSError as error:
            raise StartFailed([f"worker {place.number} cannot be started: {error}"]) from None
        if not await new.begins():
            raise StartFailed(
                new.problems or [f"worker {place.number}: {new.killed_because or 'it ended at its start'}"]
            )
        if place.worker is not old:  # it has ended meanwhile, and has a successor already
            await self._end(new)
            return
        place.worker = new
        log.event("worker_serves", worker=place.number, pid=new.process.pid)
        await self._end(old)

    async def _end(self, worker: WorkerProcess) -> None:
        """Let a worker finish its calls; kill it if it does not end in time."""
        worker.signal(signal.SIGTERM)
        drain = max((pool.timeouts.drain for pool in self._in_force.pools), default=0.0)
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
