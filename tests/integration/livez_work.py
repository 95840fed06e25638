"""The gateway's work until `/livez` answers; `tests/servers/livez_program.py` measures it."""

from __future__ import annotations

import contextlib
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator, Awaitable, Callable

from tests.integration.raw_http import HOST
from tests.servers import Gateway, livez_program

PROGRAM = livez_program.__file__


@contextlib.asynccontextmanager
async def livez_work(front: Gateway) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    """A function that asks for `/livez`, and returns the seconds of work of the gateway until the answer has come."""
    arguments = (str(front.pid), HOST, str(front.admin_port))
    # Isolated, so that no module of the environment starts a thread in it.
    process = await create_subprocess_exec(sys.executable, "-I", "-S", PROGRAM, *arguments, stdin=PIPE, stdout=PIPE)
    try:
        yield lambda: _measured(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def worked(front: Gateway) -> float:
    """Seconds for which the gateway has worked."""
    return livez_program.schedule(str(front.pid))[0]


async def _measured(process: Process) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    return float(await process.stdout.readline())
