"""`mcppool serve` with several processes: the one that supervises, and each of the others."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from mcppool.cli.service_manager import ServiceManager
from mcppool.cli.serving import (
    announce,
    settle_memory,
    stop_on_signals,
    take_all_files,
    tell_first_answers,
)
from mcppool.discovery.source import Source
from mcppool.gateway.gateway import Gateway
from mcppool.observe import logs
from mcppool.spec import Snapshot
from mcppool.spec.address import with_port
from mcppool.workers.pages import AllPages
from mcppool.workers.supervisor import StartFailed, Supervisor
from mcppool.workers.worker import Worker


def worker_command(argv: Sequence[str], channel: int) -> list[str]:
    """The command of a worker, with the arguments of its supervisor: what follows `--` is the command of a local
    server, and stays last."""
    end = argv.index("--") if "--" in argv else len(argv)
    return [sys.executable, "-m", "mcppool", *argv[:end], "--worker", str(channel), *argv[end:]]


async def supervise_workers(
    snapshot: Snapshot, count: int, argv: Sequence[str], config: Path | None, source: Callable[[], Source]
) -> int:
    """Run `count` workers with the arguments of this process until SIGINT or SIGTERM; return the exit status.

    SIGHUP replaces them one after another. Raises OSError if a port is taken, ConfigError for a bad configuration.
    """
    logs.configure(snapshot.logging.level, snapshot.logging.format)
    take_all_files()
    loop = asyncio.get_running_loop()
    logs.handle_loop_exceptions(loop)
    stop = asyncio.Event()
    supervisor = Supervisor(snapshot, count, partial(worker_command, argv), source)
    stop_on_signals(stop, supervisor.kill)
    manager = ServiceManager()
    loop.add_signal_handler(signal.SIGHUP, _reload, supervisor, manager)
    starting = asyncio.create_task(supervisor.start(lambda: AllPages(supervisor)))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            settle_memory()
            announce(snapshot, supervisor.address, supervisor.admin_port, config)
            manager.ready(f"serving at {with_port(*supervisor.address)} with {count} processes")
            await stopping
        return 0
    except StartFailed:
        return 1  # the worker has printed the reason
    finally:
        starting.cancel()
        stopping.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        manager.stopping()
        await supervisor.stop()


def _reload(supervisor: Supervisor, manager: ServiceManager) -> None:
    """Replace the workers, one after another."""
    supervisor.reload()
    manager.reloading(lambda: not supervisor.is_rolling)


async def serve_as_worker(source: Source, channel: int) -> int:
    """Serve as one of several processes, with the descriptor of the channel to the supervisor; return the exit
    status."""
    logs.configure("info", "text")
    take_all_files()
    loop = asyncio.get_running_loop()
    logs.handle_loop_exceptions(loop)
    worker = Worker(source, channel)
    stop_on_signals(worker.stop)
    loop.add_signal_handler(signal.SIGHUP, worker.reload)
    telling: list[asyncio.Task[None]] = []

    def started(gateway: Gateway, place: int) -> None:
        settle_memory()
        if place == 1:  # one of them tells it for all
            telling.append(asyncio.create_task(tell_first_answers(gateway), name="first answers"))

    try:
        await worker.run(started)
    finally:
        for task in telling:
            task.cancel()
    return 0
