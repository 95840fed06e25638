"""Writes of one turn of the event loop are made together, unless there is only one in a turn."""

from __future__ import annotations

import asyncio

from mcppool.flush_queue import ALONE, AT_ONCE, FlushQueue, flush_queue_of
from tests.gathering import Writer, gather_writes


def gathering() -> FlushQueue:
    queue = FlushQueue(asyncio.get_running_loop())
    gather_writes(queue)
    return queue


async def test_the_writes_of_a_turn_are_made_at_its_end() -> None:
    queue, writers = gathering(), [Writer(), Writer(), Writer()]
    for writer in writers:
        queue.add(writer)
    assert [writer.flushed for writer in writers] == [0, 0, 0]
    await asyncio.sleep(0)
    assert [writer.flushed for writer in writers] == [1, 1, 1]


async def test_the_first_writes_are_made_at_once() -> None:
    queue, writer = FlushQueue(asyncio.get_running_loop()), Writer()
    queue.add(writer)
    assert writer.flushed == 1


async def test_a_write_alone_in_its_turn_is_not_delayed_while_such_turns_follow_each_other() -> None:
    queue, writer = gathering(), Writer()
    queue.add(writer)
    assert writer.flushed == 0
    await asyncio.sleep(0)
    for number in range(AT_ONCE):
        queue.add(writer)
        assert writer.flushed == number + 2


async def test_writes_wait_again_for_the_end_of_the_turn_when_there_are_several() -> None:
    queue, writer = gathering(), Writer()
    queue.add(writer)
    queue.add(writer)
    await asyncio.sleep(0)
    for number in range(ALONE - 1):  # a few turns with one write are chance
        queue.add(writer)
        assert writer.flushed == number + 2
        await asyncio.sleep(0)
    assert writer.flushed == ALONE + 1


async def test_a_writer_that_fails_keeps_back_no_other() -> None:
    class Failing(Writer):
        def flush(self) -> None:
            raise ValueError("a defect")

    loop, reported = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _loop, context: reported.append(context["exception"]))
    queue, writer = gathering(), Writer()
    queue.add(Failing())
    queue.add(writer)
    await asyncio.sleep(0)
    assert writer.flushed == 1
    assert [type(error) for error in reported] == [ValueError]


async def test_a_write_that_more_may_follow_waits_one_turn_longer() -> None:
    queue, writer, other = gathering(), Writer(), Writer()
    queue.add_later(writer)
    queue.add(other)
    await asyncio.sleep(0)
    assert (writer.flushed, other.flushed) == (0, 1)
    await asyncio.sleep(0)
    assert writer.flushed == 1


async def test_such_a_write_is_made_at_once_while_writes_are() -> None:
    queue, writer = FlushQueue(asyncio.get_running_loop()), Writer()
    queue.add_later(writer)
    assert writer.flushed == 1


async def test_all_connections_of_a_loop_share_its_queue() -> None:
    loop = asyncio.get_running_loop()
    assert flush_queue_of(loop) is flush_queue_of(loop)
