"""The spare process of a local server, and the limit on processes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mcppool.upstream.stdio.conversation import Callers, Conversation
from mcppool.upstream.stdio.processes import Spare
from mcppool.upstream.stdio.quota import Quota, TooManyProcesses


class Program:
    """Starts processes, once its door is open; `started` are those that run."""

    def __init__(self, quota: Quota) -> None:
        self.door = asyncio.Event()
        self.started: list[Conversation] = []
        self._quota = quota

    async def spawn(self, callers: Callers) -> Conversation:
        self._quota.running += 1
        await self.door.wait()
        made: Any = SimpleNamespace(callers=callers, process=SimpleNamespace(ended=asyncio.Event()))
        self.started.append(cast(Conversation, made))
        return self.started[-1]


async def test_a_session_gets_the_starting_process_if_that_has_the_last_place() -> None:
    quota = Quota(1, 1)
    program = Program(quota)
    spare = Spare(program.spawn, quota, wanted=True)
    await asyncio.sleep(0)
    taking = [asyncio.create_task(spare.take(Callers.SESSION)) for _ in range(2)]
    await asyncio.sleep(0)
    program.door.set()
    first, second = await asyncio.gather(*taking, return_exceptions=True)
    assert first is program.started[0]
    assert isinstance(second, TooManyProcesses)


async def test_a_spare_process_does_not_start_in_a_place_that_a_session_has_taken() -> None:
    quota = Quota(1, 1)
    program = Program(quota)
    program.door.set()
    spare = Spare(program.spawn, quota, wanted=True)  # its start is scheduled
    assert await spare.take(Callers.SESSION) is program.started[0]
    await asyncio.sleep(0)  # its start finds no place
    with pytest.raises(TooManyProcesses):
        await spare.take(Callers.SESSION)
    assert len(program.started) == 1
