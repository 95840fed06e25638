"""A worker that hangs is found out by its silence, and a standstill of the whole machine is no such silence."""

from __future__ import annotations

import asyncio
import socket

from hypothesis import given
from hypothesis import strategies as st

from mcppool.workers.channel import Channel
from mcppool.workers.hang_watch import HUNG_AFTER, INTERVAL, HangWatch, Silence


def test_a_standstill_of_this_process_however_long_is_no_silence_of_a_worker() -> None:
    silence = Silence(INTERVAL)
    silence.looked(86_400.0)
    assert silence.seconds < HUNG_AFTER / 2


@given(st.lists(st.floats(INTERVAL, 2 * INTERVAL), min_size=6))
def test_a_worker_that_answers_no_look_is_hung_after_the_time_that_has_passed(looks: list[float]) -> None:
    silence = Silence(INTERVAL)
    for elapsed in looks:
        silence.looked(elapsed)
    assert silence.seconds == sum(looks)
    assert silence.seconds >= HUNG_AFTER


async def test_an_end_that_reads_nothing_is_hung_and_one_that_closes_has_ended() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    channel = Channel(lambda *_: None, lambda *_: None)
    await channel.open(ours)
    watch = HangWatch(starts_within=0.05, interval=0.01)
    assert await watch.hangs(channel) == 0.05
    ends = asyncio.create_task(HangWatch(starts_within=3600, interval=3600).hangs(channel))
    theirs.close()
    assert not await ends
    await channel.closed.wait()


async def test_an_end_that_answers_is_asked_again() -> None:
    questions = 0
    asked_again = asyncio.Event()

    def answer(question: str, _arguments: list[object]) -> None:
        nonlocal questions
        questions += question == "alive"
        if questions == 3:
            asked_again.set()

    ours, theirs = socket.socketpair()
    ends = [Channel(answer, lambda *_: None) for _ in range(2)]
    for end, sock in zip(ends, (ours, theirs), strict=True):
        sock.setblocking(False)
        await end.open(sock)
    watching = asyncio.create_task(HangWatch(hung_after=3600, interval=0.001).hangs(ends[0]))
    await asked_again.wait()
    assert not watching.done()
    ends[1].close()
    assert not await watching
    for end in ends:
        await end.closed.wait()
