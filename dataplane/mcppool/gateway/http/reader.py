"""From the bytes of a connection to its requests, one at a time.

llhttp gets a head when it is whole; the reader itself reads bodies, so it knows where each request begins: it checks
the request line (`strictness`), and limits do not depend on the division of the bytes into packets.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import httptools

from mcppool.gateway.http.body import UNCHARGED, Body
from mcppool.gateway.http.chunked import ChunkReader
from mcppool.gateway.http.client_caps import UNLIMITED, ClientUsage
from mcppool.gateway.http.head_cache import MAX_OWN_HEADS, Changes, Head, HeadCache, Key
from mcppool.gateway.http.http_request import HttpRequest, RequestLimits
from mcppool.gateway.http.validation import (
    MAX_HEADERS,
    Malformed,
    check_beginning,
    check_head,
    check_length,
    check_size,
    read_request_line,
    too_many_headers,
)
from mcppool.gateway.http.varied_head import HeadModels

_HEAD_END = b"\r\n\r\n"
VARYING = 64
"""Requests after a varied head that are compared with known heads piece by piece. Then one is compared as a whole: its
client may have stopped to vary the head."""
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)


class _UpgradeAsked(Exception):
    """llhttp leaves HTTP at an upgrade; the reader ignores it, as RFC 9110 §7.8 allows. Java's client asks for one in
    its first POST."""


class RequestReader:
    """Calls `deliver` with one whole request, and reads no further until `free`. It is not used again after Malformed.

    `in_body`: a body is coming; `expects`: its sender waits for `100 Continue`; `done`: this request is the
    connection's last, and nothing after it is read; `behind`: there is more to read at once: `read_on` takes turns, so
    that the bytes of one connection do not delay the others.
    """

    __slots__ = (
        "_at", "_blocked", "_body", "_changes", "_chunks", "_data", "_deliver", "_fresh", "_head", "_http11",
        "_keep_alive", "_key", "_last", "_left", "_limits", "_lines", "_models", "_own", "_padded", "_parser", "_part",
        "_varies", "behind", "client", "done", "expects", "in_body",
    )  # fmt: skip

    def __init__(self, limits: RequestLimits, deliver: Callable[[HttpRequest], None]) -> None:
        self._limits = limits
        self._deliver = deliver
        self.client = ClientUsage("", UNLIMITED)
        self._parser: httptools.HttpRequestParser
        self._data = b""  # received bytes, unread from `_at` on
        self._at = 0
        self._part = bytearray()  # of a head
        self._http11 = self._keep_alive = True
        self._padded = False  # the value of some header ends with white space
        self._lines: list[tuple[bytes, bytes]] = []
        self._key: Key | None = None  # of a head that may be stored
        self._last: Head | None = None  # the last stored one
        self._own: HeadCache | None = None  # heads with credentials
        self._models = HeadModels()
        self._varies = 0  # requests that are taken for known ones with other values first
        self._head: Head | None = None  # of the request whose body is coming
        self._changes: Changes | None = None  # its values that differ from those of `_head`
        self._body: Body | None = None
        self._left = 0  # bytes of the body that are still to come
        self._chunks: ChunkReader | None = None  # of a chunked body
        self._blocked = False  # a request was delivered and not freed
        self._fresh = True  # no byte has come, and a request is expected
        self.behind = False
        self.in_body = False
        self.expects = False
        self.done = False

    @property
    def in_head(self) -> bool:
        """Whether a part of a head has come."""
        return bool(self._part)

    @property
    def busy(self) -> bool:
        """Whether a part of a request has come, or a whole one waits."""
        return self.in_body or self.in_head or self.pending > 0

    @property
    def discards(self) -> bool:
        """Whether the incoming body is discarded."""
        return self._body is not None and self._body.lost

    @property
    def pending(self) -> int:
        """Received, unread bytes."""
        return len(self._data) - self._at

    @property
    def holds_head(self) -> bool:
        """Whether another request waits, or at least the end of its head."""
        return self._data.find(_HEAD_END, self._at) >= 0

    def feed(self, data: bytes) -> bool:
        """More bytes have come; returns whether some of them are unread. Raises Malformed."""
        if self._fresh:
            self._fresh = False
            last = self._last
            if self._varies:
                self._varies -= 1
                if self._feed_varied(data):
                    return False
            elif last is not None:
                begin = last.body_in(data)
                size = len(data) - begin
                if begin and size <= UNCHARGED:  # one whole request, with the head of the one before
                    if size > self._limits.max_body:
                        check_length(size, self._limits.max_body)
                    self._blocked = True
                    self._deliver(HttpRequest(last, data[begin:], True))
                    return False
                if self._feed_known(last, data):
                    return False
        self._data = data if self._at >= len(self._data) else self._data[self._at :] + data
        self._at = 0
        if not self._blocked and not self.behind:
            self.read_on()
        return bool(self._data)

    def _feed_known(self, last: Head, data: bytes) -> bool:
        """Deliver one whole request with another known head, laid out as the `last` one: a connection may carry the
        calls of many sessions. Returns whether it was one."""
        found = last.key_in(data)
        if found is None:
            return False
        key, begin = found
        head = self._limits.heads.get(key) or (self._own.get(key) if self._own is not None else None)
        if head is None or len(data) - begin > UNCHARGED:
            return False
        check_length(len(data) - begin, self._limits.max_body)
        self._last = head
        self._blocked = True
        self._deliver(HttpRequest(head, data[begin:], True))
        return True

    def _feed_varied(self, data: bytes) -> bool:
        """Deliver one whole request whose head differs from a known one in the same values as the head before; returns
        whether it was one."""
        found = self._models.read_again(data, self._limits.credential_headers)
        if found is None:
            return False
        head, changes, begin, size = found
        if size != len(data) - begin or size > UNCHARGED:
            return False
        check_length(size, self._limits.max_body)
        self._blocked = True
        self._deliver(HttpRequest(head, data[begin:], True, None, changes))
        return True

    def free(self) -> None:
        """The delivered request is over: the next one may be read. `behind` tells whether there is something to
        read."""
        self._blocked = False
        self.behind = bool(self._data)
        self._fresh = not (self._data or self.done)

    def read_on(self) -> None:
        """Read a part of the received bytes. Raises Malformed."""
        self.behind = False
        while self._at < len(self._data) and not (self._blocked or self.done or self.behind):
            at = self._at
            # Reading a head may prepend other bytes to the received ones: `_data` is looked up each time.
            self._at = self._read_body(self._data, at) if self.in_body else self._read_head(self._data, at)
            if self._chunks is not None and self._chunks.starved:
                return
        if self._at >= len(self._data) or self.done:
            self._data, self._at = b"", 0

    def abandon(self) -> None:
        """The connection is closed: give back its bytes."""
        self.done = True
        self._data, self._at = b"", 0
        if self._body is not None:
            self._body.release()
            self._body = None

    # --- heads ---------------------------------------------------------------------------------------------------

    def _read_head(self, data: bytes, at: int) -> int:
        part = self._part
        if part:
            known = len(part)
            part += data[at:]
            if part.find(_HEAD_END, max(0, known - 3)) < 0:
                check_beginning(part, known)
                return len(data)
            data, at = bytes(part), 0
            self._data = data
            part.clear()
        end = data.find(_HEAD_END, at)
        if end < 0:
            part += data[at:]
            check_beginning(part, 0)
            return len(data)
        end += len(_HEAD_END)
        head = data[at:end]
        varied = self._models.read(head, self._limits.credential_headers) if self._varies else None
        if varied is None:
            self._key, length, known_head = self._limits.heads.find(head)
            if known_head is None and self._own is not None and self._key is not None:
                known_head = self._own.get(self._key)
            if known_head is not None:
                if known_head is not self._last:
                    self._models.add(known_head)
                self._head = self._last = known_head
                self._changes = None
            elif self._varies or (varied := self._models.read(head, self._limits.credential_headers)) is None:
                self._varies = 0
                return self._begin_body(data, end, self._parse_head(head))
        if varied is not None:
            self._varies = VARYING
            self._head, self._changes, _, length = varied
        self._http11 = True
        check_length(length, self._limits.max_body)
        return self._begin_body(data, end, length)

    def _parse_head(self, head: bytes) -> int | None:
        """Read an unknown head; returns the length of its body, None if that is chunked."""
        method, target, version = read_request_line(head)
        check_size(head)
        self._padded = b" \r\n" in head or b"\t\r\n" in head
        try:
            self._parse(head)
        except _UpgradeAsked:
            self._parse(_UPGRADE.sub(b"", head))
        length, self.expects = check_head(self._lines, version, self._limits.max_body)
        self._http11 = version == b"1.1"
        keep_alive = self._http11 and self._keep_alive
        lines = [line for line in self._lines if line[0] != b"content-length"]
        self._head, self._changes = Head(method, target, lines, keep_alive), None
        if self._key is not None and keep_alive and not self.expects:
            self._heads_for(lines).keep(self._key, self._head)
            self._last = self._head
            self._models.add(self._head)
        return length

    def _heads_for(self, lines: list[tuple[bytes, bytes]]) -> HeadCache:
        """Where a head is remembered: by this connection alone if it has a credential in it."""
        if self._limits.credential_headers.isdisjoint([name for name, _ in lines]):
            return self._limits.heads
        if self._own is None:
            self._own = HeadCache(MAX_OWN_HEADS)
        return self._own

    def _parse(self, head: bytes) -> None:
        self._lines = []
        self._parser = httptools.HttpRequestParser(self)  # each parser sees exactly one head
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserCallbackError as error:
            if error.__context__ is None:
                raise
            raise error.__context__ from None
        except httptools.HttpParserError as error:
            raise Malformed(400, "not_http", f"not HTTP/1.1: {error}") from None

    # --- httptools -----------------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        if len(self._lines) >= MAX_HEADERS:
            raise too_many_headers()
        self._lines.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._padded:
            self._lines = [(name, value.rstrip(b" \t")) for name, value in self._lines]
        if self._parser.should_upgrade():
            raise _UpgradeAsked
        self._keep_alive = self._parser.should_keep_alive()

    # --- bodies --------------------------------------------------------------------------------------------------

    def _begin_body(self, data: bytes, at: int, length: int | None) -> int:
        if length is not None and length <= len(data) - at:  # all of it has come
            self.expects = False
            self._whole(data[at : at + length])
            return at + length
        self.in_body = True
        self._body = Body(self.client, self._limits.bodies)
        if length is None:
            self._chunks = ChunkReader(self._limits.max_body, self._body.add)
        else:
            self._left = length
        return at

    def _read_body(self, data: bytes, at: int) -> int:
        assert self._body is not None
        if self._chunks is None:
            piece = data[at : at + self._left]
            self._body.add(piece)
            self._left -= len(piece)
            if not self._left:
                self._complete(self._body)
            return at + len(piece)
        at = self._chunks.read(data, at)
        if self._chunks.done:
            self._complete(self._body)
        else:
            self.behind = at < len(data) and not self._chunks.starved
        return at

    def _whole(self, body: bytes) -> None:
        """A body that has come at once."""
        if len(body) > UNCHARGED:
            held = Body(self.client, self._limits.bodies)
            self._hand_over(held.hold(body), held)
        else:
            self._hand_over(body, None)

    def _complete(self, body: Body) -> None:
        self.in_body = self.expects = False
        self._body = self._chunks = None
        self._hand_over(body.take(), body)

    def _hand_over(self, body: bytes, held: Body | None) -> None:
        head = self._head
        assert head is not None
        self.done = not head.keep_alive
        self._blocked = True
        self._deliver(HttpRequest(head, body, self._http11, held, self._changes))
