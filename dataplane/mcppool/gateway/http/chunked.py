"""Chunked bodies (RFC 9112 §7.1): strict, and in bulk.

A chunk may hold a single byte, and the sender chooses their number. So one regular expression takes a run of small
chunks, and `read` stops after a turn to let other connections read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from mcppool.gateway.http.validation import (
    CHUNK_OVERHEAD,
    MAX_CHUNK_LINE,
    MAX_EXTENSIONS,
    MAX_HEAD,
    Malformed,
    check_length,
)

CHUNKS_A_TURN: Final = 1024
"""Chunks that are read before the loop's next turn: about a millisecond."""
BYTES_A_TURN: Final = 32 * 1024
"""The same for runs of small chunks, in bytes as they came."""

_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,20})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_BEGINNING: Final = re.compile(rb"[0-9A-Fa-f]{1,20}(?:[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r?)?\Z")
_SMALL: Final = range(1, 16)  # sizes of one digit
_DATA: Final = rb"(?s:%b)" % b"|".join(rb"(?<=[%x%X]\r\n).{%d}" % (size, size, size) for size in _SMALL)
_RUN: Final = re.compile(rb"(?>[1-9a-fA-F]\r\n%b\r\n){8,}+" % _DATA)
_EACH: Final = re.compile(rb"[1-9a-fA-F]\r\n(%b)\r\n" % _DATA)


class ChunkReader:
    """Reads one body.

    `done`: its end has come. `starved`: the rest of the bytes is the beginning of something; otherwise, if `read` did
    not reach their end, its turn was over. `max_body` is the upper bound on the body in bytes; `keep` gets the bytes.
    """

    __slots__ = ("_extensions", "_keep", "_left", "_max_body", "_size", "_wire", "done", "starved")

    def __init__(self, max_body: int, keep: Callable[[bytes], None]) -> None:
        self._max_body = max_body
        self._keep = keep
        self._left = 0  # bytes of a chunk that are still to come, with the CRLF after them
        self._size = 0  # bytes of the body, and the received bytes that carried it
        self._wire = 0
        self._extensions = 0
        self.done = False
        self.starved = False

    def read(self, data: bytes, at: int) -> int:
        """Read on at `data[at:]`; returns the position reached. Raises Malformed."""
        self.starved = False
        end = self._turn(data, at)
        self._wire += end - at
        if self._wire > MAX_HEAD + CHUNK_OVERHEAD * self._size:
            raise Malformed(413, "chunk_overhead", "the chunks are mostly framing")
        return end

    def _turn(self, data: bytes, at: int) -> int:
        for _ in range(CHUNKS_A_TURN):
            if self._left:
                at = self._in_chunk(data, at)
            elif run := _RUN.match(data, at, at + BYTES_A_TURN):
                self._take(b"".join(_EACH.findall(data, at, run.end())))
                return run.end()
            else:
                at = self._size_line(data, at)
            if self.done or self.starved or at >= len(data):
                break
        return at

    def _size_line(self, data: bytes, at: int) -> int:
        line = _LINE.match(data, at)
        if line is None:
            self._demand_beginning(data, at)
            return at
        size = int(line[1], 16)
        if size == 0:
            return self._end(data, at, line.end())
        check_length(self._size + size, self._max_body)
        self._extensions += line.end() - line.end(1) - 2
        if self._extensions > MAX_EXTENSIONS:
            raise Malformed(413, "chunk_overhead", f"chunk extensions of more than {MAX_EXTENSIONS} bytes")
        at = line.end()
        self._left = size + 2
        return self._in_chunk(data, at) if at < len(data) else at

    def _demand_beginning(self, data: bytes, at: int) -> None:
        """Refuse bytes that cannot begin the line of a chunk's size."""
        rest = data[at : at + MAX_CHUNK_LINE + 1]
        if len(rest) > MAX_CHUNK_LINE:
            raise Malformed(413, "chunk_overhead", f"the line of a chunk's size has over {MAX_CHUNK_LINE} bytes")
        if not _BEGINNING.match(rest):
            raise Malformed(400, "not_http", "this is not the size of a chunk")
        self.starved = True

    def _in_chunk(self, data: bytes, at: int) -> int:
        """Data of a chunk, and the CRLF after it, which is read together or not at all."""
        of_data = self._left - 2
        if of_data > 0:
            piece = data[at : at + of_data]
            self._take(piece)
            at += len(piece)
            self._left -= len(piece)
            if self._left > 2:
                return at
        end = data[at : at + 2]
        if end == b"\r\n":
            self._left = 0
            return at + 2
        if end not in (b"", b"\r"):
            raise Malformed(400, "not_http", "a chunk does not end where its size says")
        self.starved = True
        return at

    def _end(self, data: bytes, begin: int, at: int) -> int:
        """The last chunk: nothing may follow but an empty line."""
        end = data[at : at + 2]
        if end == b"\r\n":
            self.done = True
            return at + 2
        if end not in (b"", b"\r"):
            raise Malformed(400, "trailer", "trailers are not served")
        self.starved = True
        return begin

    def _take(self, piece: bytes) -> None:
        self._size += len(piece)
        check_length(self._size, self._max_body)
        self._keep(piece)
