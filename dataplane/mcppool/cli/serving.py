"""The process around a gateway: its signals, its files, its memory, and its words on the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from mcppool.gateway.gateway import Gateway
from mcppool.gateway.readiness import answers
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.spec import Snapshot
from mcppool.spec.address import with_port

FIRST_ANSWER = 3.0  # seconds after which the command says that no server has answered yet
STOPPING = (signal.SIGINT, signal.SIGTERM)


async def tell_first_answers(gateway: Gateway) -> None:
    """Tell for each pool whether its servers answer, once they do or after `FIRST_ANSWER` seconds; and again when a
    late pool gets its first answer."""
    await asyncio.gather(*(_tell_first_answer(name, pool) for name, pool in gateway.pools.items()))


async def _tell_first_answer(name: str, pool: ServerPool) -> None:
    try:
        async with asyncio.timeout(FIRST_ANSWER):
            await pool.warm.wait()
    except TimeoutError:
        print(f"{name}: {answers(pool)}", file=sys.stderr)
        await pool.warm.wait()
    print(f"{name}: {answers(pool)}", file=sys.stderr)


def stop_on_signals(stop: asyncio.Event, kill: Callable[[], None] | None = None) -> None:
    """Set `stop` on the first signal; the next one calls `kill`, and ends the process at once."""
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, _stop, loop, stop, kill)


def _stop(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, kill: Callable[[], None] | None) -> None:
    """The first signal drains; the next one ends the process at once, as signals do by default."""
    stop.set()
    for number in STOPPING:
        loop.remove_signal_handler(number)
        if kill is None:
            signal.signal(number, signal.SIG_DFL)
        else:
            loop.add_signal_handler(number, _end_at_once, loop, number, kill)


def _end_at_once(loop: asyncio.AbstractEventLoop, number: int, kill: Callable[[], None]) -> None:
    kill()
    loop.remove_signal_handler(number)
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def take_all_files() -> None:
    """Allow as many open files as the system lets us, not the 1,024 of a shell: each client and each server connection
    is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # a system that forbids "no limit"
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def settle_memory() -> None:
    """Keep the objects of the start out of garbage collection: they live as long as the process. Reference counts free
    the objects of calls; for the rest, the collector need not run often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def announce(snapshot: Snapshot, address: tuple[str, int], admin_port: int | None, config: Path | None) -> None:
    """Print where the gateway serves."""
    if not snapshot.pools:
        where = f"to {config}" if config else "as arguments"
        print(f"No pool is configured yet. Add [[pools]] with name and endpoints {where}.", file=sys.stderr)
    scheme = "https" if snapshot.listener.tls is not None else "http"
    names = [pool.name for pool in snapshot.pools]
    paths = ["/mcp"] if len(names) == 1 else [f"/{name}/mcp" for name in names]
    for path in paths:
        print(f"Serving MCP at {scheme}://{with_port(*address)}{path}", file=sys.stderr)
    if snapshot.provenance is not None:
        print(
            f"Profile {snapshot.provenance.profile}; `mcppool config` shows the configuration in force", file=sys.stderr
        )
    if admin_port is not None:
        scheme = "http" if snapshot.metrics.tls is None else "https"
        print(f"Status page, health and metrics at {scheme}://127.0.0.1:{admin_port}/", file=sys.stderr)
