"""Runs a gateway in this process, or in several, until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop

from mcppool.cli.reach import why_not_served
from mcppool.cli.service_manager import ServiceManager
from mcppool.cli.serving import announce, settle_memory, stop_on_signals, take_all_files, tell_first_answers
from mcppool.discovery.source import Source, first_snapshot
from mcppool.gateway.cores import worker_count
from mcppool.gateway.gateway import Gateway
from mcppool.gateway.preflight import preflight
from mcppool.observe import logs
from mcppool.spec import ConfigError
from mcppool.spec.address import with_port
from mcppool.workers.merged_gateways import merged_gateways


def serve(source: Callable[[], Source], config: Path | None = None) -> int:
    """Run a gateway until SIGINT or SIGTERM, and return the exit status. Prints errors."""
    return _reported(lambda: uvloop.run(_serve(source(), config)))


def run_workers(source: Callable[[], Source], config: Path | None, argv: Sequence[str]) -> int:
    """Run a gateway of as many processes as the configuration asks for, until SIGINT or SIGTERM; return the exit
    status. Prints errors."""
    from mcppool.cli.workers import supervise_workers  # here, because a gateway of one process needs none of it

    def run() -> int:
        snapshot = asyncio.run(first_snapshot(source()))
        count = worker_count(snapshot.listener)
        if count == 1:
            return uvloop.run(_serve(source(), config))
        if problems := preflight(snapshot):
            raise ConfigError(problems)
        return uvloop.run(supervise_workers(snapshot, count, argv, config, source))

    return _reported(run)


def run_worker(source: Callable[[], Source], channel: int) -> int:
    """Run one of several processes, until its supervisor ends it; return the exit status. Prints errors."""
    from mcppool.cli.workers import serve_as_worker

    return _reported(lambda: uvloop.run(serve_as_worker(source(), channel)))


def _reported(run: Callable[[], int]) -> int:
    try:
        return run()
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"mcppool serve: {why_not_served(error)}", file=sys.stderr)
        return 1


async def _serve(source: Source, config: Path | None) -> int:
    logs.configure("info", "text")
    take_all_files()
    loop = asyncio.get_running_loop()
    logs.handle_loop_exceptions(loop)
    stop = asyncio.Event()
    stop_on_signals(stop)
    gateway = Gateway(source)
    gateway.merge_gateways = merged_gateways
    manager = ServiceManager()
    loop.add_signal_handler(signal.SIGHUP, _reload, gateway, manager)
    try:
        await gateway.start()
        settle_memory()
        assert gateway.snapshot is not None
        announce(gateway.snapshot, gateway.address, gateway.admin_port, config)
        manager.ready(f"serving at {with_port(*gateway.address)}")
        telling = asyncio.create_task(tell_first_answers(gateway), name="first answers")
        await stop.wait()
        manager.stopping()
        telling.cancel()
    finally:
        await gateway.stop()
    return 0


def _reload(gateway: Gateway, manager: ServiceManager) -> None:
    """Read the configuration again."""
    before = gateway.config_attempts
    gateway.reload()
    manager.reloading(lambda: gateway.config_attempts > before)
