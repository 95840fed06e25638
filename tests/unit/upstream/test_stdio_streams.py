"""The lines of a program: all of them, in order, however large and many they are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.upstream.stdio.lines import A_STEP, Lines
from mcppool.upstream.stdio.streams import SLICE, Input, open_input
from mcppool.wire.bulk import BULK, Bulk
from tests.waiting import until

LIMIT = 4 * BULK
LARGE = b'{"a":"%b"}' % (b"x" * BULK)


class Pipe:
    """The reading end of a pipe: whether it is read, and whether it is closed."""

    def __init__(self) -> None:
        self.stopped = False
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        assert not self.stopped
        self.stopped = True

    def resume_reading(self) -> None:
        assert self.stopped
        self.stopped = False

    def close(self) -> None:
        self.closed = True


class Reader:
    """Lines of a pipe, and what came of them."""

    def __init__(self) -> None:
        self.got: list[bytes | None] = []
        self.long: list[bytes] = []
        self.pipe = Pipe()
        self.lines = Lines(LIMIT, self.got.append, self.long.append, lambda: self.got.append(None))
        self.lines.connection_made(cast(Any, self.pipe))

    async def read(self, output: bytes, *sizes: int) -> None:
        """The output in parts, each when the pipe is read; then its end."""
        at = 0
        for size in (*sizes, len(output)):
            if output[at : at + size]:
                self.lines.data_received(output[at : at + size])
            at += size
            await until(lambda: not self.pipe.stopped, "it reads on")
        self.lines.connection_lost(None)
        await until(lambda: self.got[-1:] == [None], "the end")


lines_of_a_program = st.lists(
    st.one_of(st.sampled_from([b"", b"1", b"{}\r", LARGE, b"x" + LARGE, b"[" * 20]), st.binary(max_size=9)), max_size=8
).map(lambda lines: [line.replace(b"\n", b"") for line in lines])


@given(lines_of_a_program, st.lists(st.sampled_from([1, 2, 1000, 65536, BULK, BULK + 20]), max_size=5), st.booleans())
async def test_lines_come_whole_and_in_order_in_whatever_parts(
    lines: list[bytes], sizes: list[int], broken_off: bool
) -> None:
    reader = Reader()
    await reader.read(b"\n".join(lines) + (b"" if broken_off else b"\n"), *sizes)
    expected = lines[:-1] if broken_off and lines[-1:] == [b""] else lines or [b""][: not broken_off]
    assert reader.got == [*expected, None]
    assert all(isinstance(line, Bulk) == (len(line) > BULK) for line in reader.got if line is not None)


async def test_many_lines_come_in_steps_and_the_pipe_is_not_read_meanwhile() -> None:
    reader = Reader()
    reader.lines.data_received(b"1\n" * (3 * A_STEP) + b"2")
    assert len(reader.got) == A_STEP
    assert reader.pipe.stopped
    assert reader.lines.behind
    await until(lambda: not reader.pipe.stopped, "it reads on")
    assert reader.got == [b"1"] * (3 * A_STEP), "the last line may go on"


async def test_a_large_line_holds_up_the_lines_after_it_and_the_end() -> None:
    reader = Reader()
    reader.lines.data_received(LARGE + b"\n1\n2")
    reader.lines.connection_lost(None)
    assert reader.got == []
    await until(lambda: reader.got[-1:] == [None], "the end")
    assert reader.got == [LARGE, b"1", b"2", None]


async def test_a_reader_who_wants_no_more_is_not_read_for_after_a_large_line() -> None:
    reader = Reader()
    reader.lines.data_received(LARGE + b"\n")
    reader.lines.pause()
    await until(lambda: not reader.lines.behind, "it was read")
    assert reader.pipe.stopped
    reader.lines.resume()
    assert not reader.pipe.stopped


@pytest.mark.parametrize("part", [1000, BULK, 2 * LIMIT])
async def test_a_line_over_the_limit_is_told_once_and_dropped(part: int) -> None:
    reader = Reader()
    output = b"x" * (LIMIT + 5000) + b"\n1\n"
    await reader.read(output, *[part] * (len(output) // part))
    assert reader.got == [b"1", None]
    assert reader.long == [b"x" * LIMIT]


async def test_nothing_is_handed_on_after_close() -> None:
    reader = Reader()
    reader.lines.data_received(LARGE + b"\n1\n")
    reading = reader.lines._reading
    assert reading is not None
    reader.lines.close()
    await asyncio.gather(reading, return_exceptions=True)
    await asyncio.sleep(0)
    assert reader.pipe.closed
    assert reader.got == []


# --- writing ---------------------------------------------------------------------------------------------------------


class Written:
    """A program's input, and the end of its pipe where the program reads."""

    def __init__(self, end: int, input: Input) -> None:
        self.end = end
        self.input = input

    async def read(self, size: int) -> bytes:
        """That many bytes."""
        read = bytearray()
        while len(read) < size:
            part = await asyncio.to_thread(os.read, self.end, size - len(read))
            assert part, "the end"
            read += part
        return bytes(read)


@pytest.fixture
async def written() -> AsyncIterator[Written]:
    end, ours = os.pipe()
    input = await open_input(ours)
    yield Written(end, input)
    input.abort()
    os.close(end)
    await until(lambda: input.closing and input._writing is None, "it is closed")


async def test_a_large_message_that_is_begun_comes_to_its_end_before_any_other(written: Written) -> None:
    large = Bulk(b'{"a":\r\n"%b"}' % (b"x" * (4 * SLICE)))
    await written.input.write(large)
    next_one = asyncio.create_task(written.input.write(b'{"b":\n1}'))
    written.input.write_notice(b"{}")
    cancelled = asyncio.create_task(written.input.write(large))
    await asyncio.sleep(0)
    cancelled.cancel()
    expected = large.replace(b"\r\n", b"  ") + b"\n{}\n" + b'{"b": 1}\n'
    assert await written.read(len(expected)) == expected
    await next_one
    assert written.input.waiting == 0


async def test_a_large_message_ends_with_the_program(written: Written) -> None:
    await written.input.write(Bulk(LARGE))
    later = asyncio.create_task(written.input.write(b"{}"))
    written.input.abort()
    with pytest.raises(BrokenPipeError):
        await later
    with pytest.raises(BrokenPipeError):
        await written.input.write(Bulk(LARGE))


@pytest.mark.parametrize("unread", [0, 4 * 1024 * 1024], ids=["nothing unwritten", "much unwritten"])
async def test_the_end_of_an_input_is_told_once_however_it_ends(unread: int) -> None:
    loop, faults = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: faults.append(context))
    reading, writing = os.pipe()
    try:
        program = await open_input(writing)
        if unread:
            program.write_notice(b"x" * unread)
        program.close()
        program.abort()
        await until(lambda: program.closing, "it is closed")
        await asyncio.sleep(0)  # a second end would be told in the next turn
        await asyncio.sleep(0)
    finally:
        os.close(reading)
    assert faults == []
