"""Chunked bodies: every size, cut anywhere, in turns."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.gateway.http.chunked import BYTES_A_TURN, ChunkReader
from mcppool.gateway.http.validation import MAX_CHUNK_LINE, Malformed


def read(pieces: list[bytes], max_body: int = 1 << 20) -> tuple[bytes, bytes]:
    """The body, and the bytes after it."""
    body = bytearray()
    reader = ChunkReader(max_body, body.extend)
    rest = b""
    for piece in pieces:
        rest += piece
        at = 0
        while at < len(rest) and not reader.done:
            at = reader.read(rest, at)
            if reader.starved:
                break
        rest = rest[at:]
    return (bytes(body), rest) if reader.done else (b"unfinished", rest)


sizes = st.one_of(st.integers(1, 15), st.integers(1, 3), st.integers(16, 300))


@given(
    st.lists(st.tuples(sizes, st.binary(min_size=1, max_size=4)), max_size=60),
    st.integers(1, 100),
    st.sampled_from([b"", b";a", b" ;b=c"]),
)
@settings(deadline=None)
def test_the_body_is_its_chunks_however_large_they_are_and_however_they_are_cut(
    chunks: list[tuple[int, bytes]], cut: int, extension: bytes
) -> None:
    body = wire = b""
    for size, filling in chunks:
        data = (filling * size)[:size]
        body += data
        wire += b"%x%b\r\n%b\r\n" % (size, extension if size % 7 == 0 else b"", data)
    wire += b"0\r\n\r\n"
    behind = b"POST /next"
    assert read([wire + behind]) == (body, behind)
    assert read([wire[at : at + cut] for at in range(0, len(wire), cut)]) == (body, b"")


@pytest.mark.parametrize("size", range(1, 16))
def test_runs_of_small_chunks_are_read_whatever_is_in_them(size: int) -> None:
    data = (b"\r\n0\r\n\r\n1\r\n" * 2)[:size]
    for digits in (b"%x", b"%X"):
        assert read([(digits % size + b"\r\n" + data + b"\r\n") * 20_000 + b"0\r\n\r\n"]) == (data * 20_000, b"")


def test_a_turn_reads_so_much_and_no_more() -> None:
    body = bytearray()
    reader = ChunkReader(1 << 30, body.extend)
    wire = b"1\r\nx\r\n" * 100_000
    turns = at = 0
    while at < len(wire):
        before = at
        at = reader.read(wire, at)
        assert 0 < at - before <= BYTES_A_TURN
        turns += 1
    assert turns >= len(wire) / BYTES_A_TURN
    assert len(body) == 100_000


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (b"1\r\nxy\r\n", "not_http"),
        (b"1\r\nx\n", "not_http"),
        (b"1\nx\r\n", "not_http"),
        (b"\r\n", "not_http"),
        (b"-1\r\nx\r\n", "not_http"),
        (b"0x1\r\nx\r\n", "not_http"),
        (b"1 \r\nx\r\n", "not_http"),
        (b"1;\x00\r\nx\r\n", "not_http"),
        (b"1;a\rb\r\nx\r\n", "not_http"),
        (b"000000000000000000001\r\nx\r\n", "not_http"),
        (b"ffffffffffffffff\r\nx\r\n", "body_too_large"),
        (b"1\r\nx\r\n" * 10 + b"2\r\nx\r\n", "not_http"),
        (b"0\r\nx: y\r\n\r\n", "trailer"),
        (b"1;" + b"x" * (MAX_CHUNK_LINE + 1), "chunk_overhead"),
        (b"1\r\nx\r\n" * 2000, "body_too_large"),
        (b"7d0\r\n", "body_too_large"),
    ],
)
def test_an_invalid_chunk_is_refused_however_it_is_cut(wire: bytes, reason: str) -> None:
    for cut in (1, 7, len(wire)):
        with pytest.raises(Malformed) as refused:
            read([wire[at : at + cut] for at in range(0, len(wire), cut)], max_body=1000)
        assert refused.value.reason == reason


def test_extensions_are_skipped_and_bounded() -> None:
    chunk = b"200;" + b"x" * 500 + b"\r\n" + b"y" * 512 + b"\r\n"
    assert read([chunk * 32 + b"0\r\n\r\n"]) == (b"y" * 512 * 32, b"")
    with pytest.raises(Malformed) as refused:
        read([chunk * 40])
    assert refused.value.reason == "chunk_overhead"
