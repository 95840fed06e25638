"""One of the processes that serve together: a gateway without an admin port, and its end of the channel."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mcppool.discovery.source import Publish, Refuse, Source
from mcppool.gateway.admin_port import load_admin_modules
from mcppool.gateway.gateway import Gateway
from mcppool.gateway.memory import default_limit
from mcppool.gateway.worker_setup import WorkerSetup
from mcppool.observe import logs
from mcppool.observe.status_json import rfc3339
from mcppool.spec import ConfigError, Snapshot
from mcppool.spec.explain import settings_of
from mcppool.workers.channel import Channel
from mcppool.workers.merged_metrics import sent
from mcppool.workers.peers import PeerExchange
from mcppool.workers.shares import share_of
from mcppool.workers.trial_locks import TrialLocks

if TYPE_CHECKING:
    from mcppool.observe.pages import OwnPages

log = logs.get_logger("workers")


class Orders(msgspec.Struct, frozen=True):
    """The facts with which a worker begins: the number of its place and of all places, the descriptors of its sockets,
    keys for a gateway without a key file, the directory of the sockets of local servers, and the descriptor of the file
    whose locks are the claims to trial calls."""

    place: int
    places: int
    sockets: tuple[int, ...]
    keys: str
    programs: str
    trials: int


class SharedSource:
    """Another source's snapshots, as one of several processes serves them."""

    def __init__(self, source: Source, orders: Orders) -> None:
        self._source = source
        self._orders = orders
        self._memory = default_limit()
        self._whole: dict[str, Snapshot] = {}  # by hash: the newest, and the one in force before it

    def whole(self, hash: str | None) -> Snapshot | None:
        """A snapshot as it was before this process took its share, by its hash."""
        return self._whole.get(hash or "")

    def unshared(self, share: Snapshot) -> Snapshot:
        """The snapshot of which `share` is the part of this process."""
        return self._whole.get(share.hash, share)

    async def watch(self, publish: Publish, refuse: Refuse) -> None:
        """See `Source`."""

        def take(snapshot: Snapshot) -> None:
            for former in list(self._whole)[:-1]:
                del self._whole[former]
            self._whole[snapshot.hash] = snapshot
            publish(share_of(snapshot, self._orders.places, self._orders.place, self._memory))

        await self._source.watch(take, refuse)

    def reload(self) -> None:
        """See `Source`."""
        self._source.reload()


class Worker:
    """Serves until the supervisor, or a signal, ends it."""

    def __init__(self, source: Source, channel_fd: int) -> None:
        self._source = source
        self._socket = socket.socket(fileno=channel_fd)
        self._gateway: Gateway | None = None
        self._shared: SharedSource | None = None
        self._pages: OwnPages | None = None
        self._exchange: PeerExchange | None = None
        self.stop = asyncio.Event()

    async def run(self, on_start: Callable[[Gateway, int], None]) -> None:
        """Serve. Raises ConfigError or OSError if that cannot begin."""
        orders: asyncio.Future[Orders] = asyncio.get_running_loop().create_future()

        def tell(name: str, arguments: list[Any]) -> None:
            if name == "news":
                worker, pool, parts = arguments
                exchange.heard(worker, pool, parts)
            elif name == "orders" and not orders.done():
                orders.set_result(msgspec.convert(arguments[0], Orders))
            elif name in ("program_state", "program_event"):
                exchange.programs.hear(name, arguments)

        channel = Channel(self._ask, tell)
        self._exchange = exchange = PeerExchange(channel)
        await channel.open(self._socket)
        watching = asyncio.create_task(self._stop_without_supervisor(channel), name="supervisor")
        stopping = asyncio.create_task(self.stop.wait())
        first: list[asyncio.Future[Any]] = [orders, stopping]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not orders.done():
            watching.cancel()
            return
        given = orders.result()
        exchange.programs.directory = Path(given.programs)
        exchange.trials = TrialLocks(given.trials)
        sockets = tuple(socket.socket(fileno=descriptor) for descriptor in given.sockets)
        self._shared = source = SharedSource(self._source, given)
        self._gateway = gateway = Gateway(source, WorkerSetup(sockets, given.keys, exchange.of, source.unshared))
        gateway.keep_slot = lambda slot: channel.tell("history", slot, optional=True)
        try:
            await gateway.start()
            channel.tell("serving")
            await asyncio.to_thread(load_admin_modules)  # in a thread, because calls would wait for it
            self._pages = gateway.pages()
            self._pages.start()
            on_start(gateway, given.place)
            await self.stop.wait()
        except ConfigError as error:
            channel.tell("failed", [str(problem) for problem in error.problems])
            raise
        except OSError as error:
            channel.tell("failed", [str(error)])
            raise
        finally:
            await gateway.stop()
            if self._pages is not None:
                channel.tell("farewell", await self._page("metrics"))
            watching.cancel()
            exchange.leases.close()
            channel.close()

    def reload(self) -> None:
        """Read the configuration again."""
        if self._gateway is not None:
            self._gateway.reload()

    async def _stop_without_supervisor(self, channel: Channel) -> None:
        await channel.closed.wait()
        if not self.stop.is_set():
            log.error("supervisor_gone", detail="this worker finishes its calls and ends")
            os.kill(os.getpid(), signal.SIGTERM)

    def _ask(self, question: str, arguments: list[Any]) -> Any:
        if question == "call_back" and self._exchange is not None:
            return self._exchange.leases.call_back(*arguments)
        if question == "session event" and self._exchange is not None:
            return self._exchange.session_event(*arguments)
        return self._page(arguments[0]) if question == "page" else None

    def _settings(self) -> dict[str, Any]:
        """The settings of the whole gateway: those of this process are shares of some."""
        assert self._gateway is not None
        assert self._shared is not None
        whole = self._shared.whole(self._gateway.config().hash)
        return settings_of(whole) if whole is not None else {}

    async def _page(self, name: str) -> Any:
        """A page of this process, as `AllPages` asks for it."""
        pages = self._pages
        if pages is None:
            return None
        if name == "metrics":
            found = []
            for family in await pages.families() or ():
                found.append(sent(family))
                await asyncio.sleep(0)  # calls go on meanwhile
            return found
        if name == "health":
            return {
                name: [part.status, part.message, rfc3339(part.since)] for name, part in (await pages.health()).items()
            }
        if name == "settings":
            return self._settings()
        if name == "status":
            return await pages.status({})
        simple = {
            "lag": pages.lag,
            "ready": pages.ready,
            "answering": pages.answering,
            "config": pages.config,
            "keys": pages.public_keys,
            "load": pages.load,
            "configurations": pages.config_changes,
            "workload": pages.workload,
        }
        return await simple[name]()
