"""For any answers of servers, a program with `mcppool.Pool` gets a result or an error of ours, and nothing stays
behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import strategies as st

import mcppool
from mcppool import supervision
from tests.descriptors import held
from tests.fuzz.liar import Liar
from tests.fuzz.runs import fuzz
from tests.fuzz.server_inputs import lies_for
from tests.waiting import until

SECTIONS: dict[str, Any] = {
    "connection_pool": {"health_check_interval": "50ms"},
    "health_check": {"timeout": "200ms", "startup_timeout": "300ms"},
    "timeouts": {"request": "500ms"},
    "retry_policy": {"max_attempts": 2},
}
Use = Callable[[mcppool.Pool], Awaitable[object]]
USES: list[Use] = [
    lambda pool: pool.list_tools(),
    lambda pool: pool.call_tool("read", {"a": "b"}, progress=lambda *_: None),
    lambda pool: pool.read_resource("file:///x"),
    lambda pool: pool.get_prompt("x"),
]
ABOUT = [
    "server/discover",
    "initialize",
    "tools/list",
    "ping",
    "tools/call",
    "resources/read",
    "prompts/get",
    "GET",
    "DELETE",
]


async def meet(server: Liar, about: str, lie: bytes, ends: bool, use: Use) -> None:
    """A program that opens a pool, uses it and leaves."""
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    server.about, server.lie, server.closes = about, lie, ends
    failures = supervision.failures.total()
    pool = mcppool.Pool([server.url], profile="test", **SECTIONS)
    tasks, files = asyncio.all_tasks(), held()
    async with asyncio.timeout(60), pool:
        with contextlib.suppress(mcppool.CallFailed, mcppool.RpcError, mcppool.InputRequired):
            await use(pool)
        server.lie = None
    # The server closes its ends of the connections in its own time, in this loop.
    await until(lambda: asyncio.all_tasks() == tasks and held() <= files, "no task and no descriptor is left")
    assert not problems
    assert supervision.failures.total() == failures


def test_a_program_meets_servers_that_answer_anything(seconds: float) -> None:
    with asyncio.Runner() as runner:
        servers = [Liar(modern=True), Liar(modern=False)]
        for server in servers:
            runner.run(server.listen())

        def one(lie: tuple[int, bytes], number: int, ends: bool, use: int) -> None:
            runner.run(meet(servers[number], ABOUT[lie[0]], lie[1], ends, USES[use]))

        inputs = (
            lies_for(ABOUT),
            st.integers(0, 1),
            st.booleans(),
            st.integers(0, len(USES) - 1),
        )
        fuzz("library", one, *inputs, examples=15, seconds=seconds)
        assert sum(server.served for server in servers) > 5, "the lies are told: more often, the faster the machine is"
        for server in servers:
            runner.run(server.refuse())
