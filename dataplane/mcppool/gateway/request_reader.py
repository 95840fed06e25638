"""From the bytes of a connection to its requests.

A head is handed to llhttp when it is whole, and a body by its length, so that it is known where each request begins:
the request line is checked by us (`strictness`), and limits do not depend on how the bytes were cut on their way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic

import httptools

from mcppool.gateway.heads import Head, Heads, Key
from mcppool.gateway.strictness import (
    LONGEST_SIZE,
    MAX_HEAD,
    Malformed,
    check_beginning,
    check_chunk_size,
    check_head,
    check_length,
    check_size,
    read_request_line,
)

CHUNK_OVERHEAD = 8  # bytes of framing that each byte of a chunked body may cost, beside MAX_HEAD once
_HEAD_END = b"\r\n\r\n"
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)


class HttpRequest:
    """One whole request. `lines` are its headers in order, names in lower case.

    `keep_alive` says whether its sender may send another one; `http11`, whether it reads chunked answers.
    """

    __slots__ = ("body", "head", "http11", "keep_alive", "received")

    def __init__(self, head: Head, body: bytes, *, http11: bool) -> None:
        self.head = head
        self.body = body
        self.http11 = http11
        self.keep_alive = head.keep_alive
        self.received = monotonic()

    @property
    def method(self) -> bytes:
        """Such as POST."""
        return self.head.method

    @property
    def target(self) -> bytes:
        """The request target as it was sent."""
        return self.head.target

    @property
    def lines(self) -> list[tuple[bytes, bytes]]:
        """Header lines in order, Content-Length apart: that is the body's own."""
        return self.head.lines


class Limits:
    """What a listener's connections share: `max_body`, in bytes, which may change, and the heads that were read."""

    __slots__ = ("heads", "max_body")

    def __init__(self, max_body: int) -> None:
        self.max_body = max_body
        self.heads = Heads()


class _UpgradeAsked(Exception):
    """llhttp leaves HTTP at an upgrade; we ignore it, as RFC 9110 §7.8 allows. Java's client asks in its first POST."""


class RequestReader:
    """Calls `deliver` with each whole request. After Malformed it is not used again.

    `in_body` is True while a body is coming; `expects` while its sender waits for `100 Continue`; `done` after a
    request that is its connection's last: what follows is not read.
    """

    __slots__ = (
        "_body", "_deliver", "_key", "_known", "_last", "_left", "_limits", "_line", "_lines", "_method", "_padded",
        "_parser", "_part", "_size", "_target", "_version", "_wire", "done", "expects", "in_body",
    )  # fmt: skip

    def __init__(self, limits: Limits, deliver: Callable[[HttpRequest], None]) -> None:
        self._limits = limits
        self._deliver = deliver
        self._parser = httptools.HttpRequestParser(self)
        self._part = bytearray()  # of a head
        self._method = self._target = self._version = b""
        self._padded = False  # some header's value ends with white space
        self._lines: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._key: Key | None = None  # of a head that may be remembered
        self._last: Head | None = None  # the last one that is remembered
        self._known: Head | None = None  # the head was read before: the parser has not seen this request
        self._left: int | None = None  # bytes of the body that are to come; None while it comes in chunks
        self._size = 0  # bytes of a chunked body, and those that brought it
        self._wire = 0
        self._line = b""  # the beginning of the line that is coming
        self.in_body = False
        self.expects = False
        self.done = False

    @property
    def in_head(self) -> bool:
        """Whether a part of a head has come."""
        return bool(self._part)

    def feed(self, data: bytes) -> None:
        """Read on. Raises Malformed."""
        last = self._last
        if last is not None and not self.in_body and not self._part and not self.done:
            begin = last.body_in(data)
            if begin:  # one whole request, with the head of the one before
                check_length(len(data) - begin, self._limits.max_body)
                self._deliver(HttpRequest(last, data[begin:], http11=True))
                return
        if self._part:
            known = len(self._part)
            self._part += data
            if self._part.find(_HEAD_END, max(0, known - 3)) < 0:
                check_beginning(self._part, known)
                return
            data = bytes(self._part)
            self._part.clear()
        at, end = 0, len(data)
        while at < end and not self.done:
            at = self._read_body(data, at) if self.in_body else self._read_head(data, at)

    def _read_head(self, data: bytes, at: int) -> int:
        end = data.find(_HEAD_END, at)
        if end < 0:
            self._part += data[at:]
            check_beginning(self._part, 0)
            return len(data)
        end += len(_HEAD_END)
        head = data[at:end]
        self._key, length, self._known = self._limits.heads.find(head)
        if self._known is not None:
            self._last = self._known
            check_length(length, self._limits.max_body)
            self._left = length
            self._body = []
            self.in_body = True
            return end if length else self._read_body(data, end)
        self._method, self._target, self._version = read_request_line(head)
        check_size(head)
        self._padded = b" \r\n" in head or b"\t\r\n" in head
        self._lines = []
        try:
            self._parse(head)
        except _UpgradeAsked:
            self._parser = httptools.HttpRequestParser(self)
            self._lines = []
            self._parse(_UPGRADE.sub(b"", head))
        return end

    def _read_body(self, data: bytes, at: int) -> int:
        if self._left is not None:
            piece = data[at : at + self._left]
            self._left -= len(piece)
            if self._known is not None:
                self._body.append(piece)
                if not self._left:
                    self._complete(self._known, http11=True)
                return at + len(piece)
        else:  # line by line: a chunked body's last byte ends a line
            piece = data[at : data.find(b"\n", at) + 1 or len(data)]
            self._wire += len(piece)
            if self._wire > MAX_HEAD + CHUNK_OVERHEAD * (self._size + len(piece)):
                raise Malformed(413, "chunk_overhead", "the chunks are mostly framing")
            if len(self._line) <= LONGEST_SIZE:
                self._line += piece[: LONGEST_SIZE + 1]
            self._parse(piece)
            if piece.endswith(b"\n"):
                self._line = b""
            return at + len(piece)
        self._parse(piece)
        return at + len(piece)

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            if error.__context__ is None:
                raise
            raise error.__context__ from None
        except httptools.HttpParserError as error:
            raise Malformed(400, "not_http", f"not HTTP/1.1: {error}") from None

    # --- httptools -----------------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line; of trailers, that is all we want to know."""
        if self.in_body:
            raise Malformed(400, "trailer", "trailers are not served")
        self._lines.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._padded:
            self._lines = [(name, value.rstrip(b" \t")) for name, value in self._lines]
        length, self.expects = check_head(self._lines, self._version, self._limits.max_body)
        if self._parser.should_upgrade():
            raise _UpgradeAsked
        self._left = length
        self._size = self._wire = 0
        self._line = b""
        self._body = []
        self.in_body = True

    def on_chunk_header(self) -> None:
        """The line that says how large a chunk is has been read; it is a line of its own."""
        check_chunk_size(self._line)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._size += len(body)
        if self._size > self._limits.max_body:
            raise Malformed(413, "body_too_large", f"the body is larger than {self._limits.max_body} bytes")
        self._body.append(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        http11 = self._version == b"1.1"
        keep_alive = http11 and self._parser.should_keep_alive()
        lines = [line for line in self._lines if line[0] != b"content-length"]
        head = Head(self._method, self._target, lines, keep_alive=keep_alive)
        if self._key is not None and http11 and keep_alive and not self.expects:
            self._limits.heads.keep(self._key, head)
            self._last = head
        self._complete(head, http11=http11)

    def _complete(self, head: Head, *, http11: bool) -> None:
        self.in_body = self.expects = False
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self.done = not head.keep_alive
        self._deliver(HttpRequest(head, body, http11=http11))
