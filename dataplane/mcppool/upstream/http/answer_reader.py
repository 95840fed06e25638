"""Reads the answers on a connection: bytes in, the parts of one answer at a time out.

An answer with the same head as the one before is recognised without the parser. The parser's callbacks run inside
`feed`. The end of an answer is told when the parser has returned: the call may then use the connection again.
"""

from __future__ import annotations

from typing import Protocol

import httptools

from mcppool.upstream.http.answer_head import AnswerHead, keep_alive_timeout, shared_head
from mcppool.upstream.http.response import Response
from mcppool.wire.chunks import whole_chunks
from mcppool.wire.repeated_head import MAX_REMEMBERED, split_head

MAX_HEAD = 64 * 1024
"""Upper bound in bytes on an answer's head, interim answers, and other bytes outside the body: trailers, chunk
extensions."""

MAX_HEADERS = 256
MAX_PARTS = 1024  # upper bound on separate parts of a held body
HEAD_END = b"\r\n\r\n"
BODILESS = frozenset({204, 304})


class AnswerReceiver(Protocol):
    """The connection that the answers come on."""

    keep_for: float | None

    def head_received(self, response: Response) -> None:
        """The status and the headers of the final answer are known."""

    def part_received(self, response: Response) -> None:
        """More of the body was added to the answer, which is not complete yet."""

    def answer_complete(self, response: Response, kept: bool) -> None:
        """The last byte has come; `kept`: the server keeps the connection."""

    def reject(self, why: str) -> None:
        """The answer breaks HTTP or a bound."""

    def close(self) -> None:
        """Bytes came that answer no request."""


class AnswerReader:
    """Reads into `response`, None between two exchanges."""

    __slots__ = (
        "_ahead", "_beginning", "_chunked", "_coding", "_deaf", "_kept", "_known", "_mark", "_parser", "_received",
        "_receiver", "_sized", "response",
    )  # fmt: skip

    def __init__(self, receiver: AnswerReceiver) -> None:
        self.response: Response | None = None
        self._receiver = receiver
        self._parser = httptools.HttpResponseParser(self)
        self._received = 0  # bytes of the answer so far
        self._mark = 0  # `_received` when the head was complete, or when the last part of the body came
        self._beginning = b""  # the first piece of the answer, until its head has been read
        self._known: AnswerHead | None = None
        self._ahead: AnswerHead | None = None  # of a chunked answer that the parser has not seen yet
        self._deaf = False  # the parser reads what was read before
        self._sized = False
        self._chunked = False
        self._kept = False  # the server keeps the connection behind the complete answer
        self._coding = b""  # the content coding of the body; the gateway accepts none

    def expect(self, response: Response) -> None:
        """Read the next answer into `response`."""
        self.response = response
        self._received = self._mark = 0
        self._ahead = None

    def forget_head(self) -> None:
        """The next answer is to be handed over with its head, before its body."""
        self._known = None

    @property
    def begun(self) -> bool:
        """Whether the server has sent a status, so that it certainly had the request."""
        return self.response is not None and self.response.status != 0

    def feed(self, data: bytes) -> None:
        """Read the next bytes; any that do not answer a request end the connection."""
        response = self.response
        if response is None:
            self._receiver.close()
            return
        if not self._received:
            if self._known is not None and self._take(response, self._known, data):
                return
            self._beginning = data
            self._coding = b""
            self._sized = self._chunked = False
        elif self._ahead is not None:
            if (found := whole_chunks(data, 0)) is not None:
                self._take_chunks(response, *found)
                return
            self._catch_up(self._ahead)
        self._received += len(data)
        size, told = response.size, response.complete
        problem = self._parse(data)
        if response.complete:
            more = problem is not None or self.response is not response  # bytes behind the answer
            if not told:
                self._complete(response, kept=self._kept and not more)
            if more:
                self._receiver.close()
        elif problem is not None:
            self._receiver.reject(problem)
        elif self.response is response:
            self._part_came(response, response.size > size)

    def end(self) -> bool:
        """The connection has ended: return whether that completes an answer, whose body has no length."""
        response = self.response
        if response is None or response.status < 200 or self._sized or self._chunked or self._ahead is not None:
            return False
        self._complete(response, kept=False)
        return True

    # --- httptools ----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A message begins; one behind the whole answer is read by nobody."""
        if self.response is not None and self.response.complete:
            self.response = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of the answer."""
        response = self.response
        if response is None or self._deaf or response.status >= 200:  # a trailer: the gateway uses none
            return
        name = name.lower()
        response.headers.append((name, value))
        if len(response.headers) > MAX_HEADERS:
            self._receiver.reject(f"more than {MAX_HEADERS} headers")
        if name == b"content-type":
            response.content_type = value.partition(b";")[0].strip().lower()
        elif name == b"content-length":
            self._sized = True
        elif name == b"transfer-encoding":
            self._chunked = True
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            self._coding = value
        elif name == b"keep-alive":
            seconds = keep_alive_timeout(value)
            if seconds is not None:
                self._receiver.keep_for = seconds

    def on_headers_complete(self) -> None:
        """The status is known; an interim answer is dropped."""
        response = self.response
        if response is None or self._deaf:
            return
        response.status = self._parser.get_status_code()
        if 100 <= response.status < 200:
            response.headers.clear()
            self._beginning = self._coding = b""
            return
        self._mark = self._received
        if self._coding:
            coding = self._coding[:40].decode("latin-1")
            self._receiver.reject(f"a compressed answer (content-encoding: {coding}), where none was asked for")
        else:
            self._receiver.head_received(response)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        response = self.response
        if response is None:
            return
        self._mark = self._received
        response.chunks.append(body)
        response.size += len(body)
        if len(response.chunks) > MAX_PARTS:
            response.join_parts()

    def on_message_complete(self) -> None:
        """The answer is complete."""
        response = self.response
        if response is not None and not 100 <= response.status < 200:
            response.complete = True
            self._kept = self._parser.should_keep_alive()

    # --- inside -------------------------------------------------------------------------------------------------

    def _part_came(self, response: Response, more: bool) -> None:
        """A part of an answer has been read, with `more` of its body or without. Only now is it passed on: an event
        stream that has come whole needs no reader of its parts."""
        if more:
            self._receiver.part_received(response)
        if self._received - self._mark > MAX_HEAD and self.response is response:
            where = "a head" if response.status < 200 else "a trailer or a chunk's head"
            self._receiver.reject(f"{where} of more than {MAX_HEAD} bytes")

    def _parse(self, data: bytes) -> str | None:
        """Let the parser read; returns what is wrong."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            return f"not an HTTP response: {error}"
        except httptools.HttpParserUpgrade:
            return "the server switched protocols"
        return None

    def _complete(self, response: Response, *, kept: bool) -> None:
        response.complete = True
        self._receiver.answer_complete(response, kept)
        if kept:
            self._remember(response)

    def _take(self, response: Response, head: AnswerHead, data: bytes) -> bool:
        """Take the beginning of an answer with the same head as the one before; the parser does not see it. Returns
        False for any other answer, and for one that does not end here or where a chunk ends."""
        if head.bytes is None:
            begin = head.body_in(data)
            if not begin:
                return False
            self._begin(response, head)
            response.chunks.append(data[begin:])
            response.complete = True
            self._receiver.answer_complete(response, True)
            return True
        if not data.startswith(head.bytes):
            return False
        found = whole_chunks(data, len(head.bytes))
        if found is None:
            return False
        self._begin(response, head)
        self._ahead = head
        self._take_chunks(response, *found)
        return True

    def _begin(self, response: Response, head: AnswerHead) -> None:
        self._received = self._mark = 1  # later bytes do not begin an answer
        if head.keep_for is not None:
            self._receiver.keep_for = head.keep_for
        response.status = head.status
        response.headers = head.lines
        response.content_type = head.content_type

    def _take_chunks(self, response: Response, body: bytes, last: bool) -> None:
        """Take the content of whole chunks of an answer whose head the parser has not seen; `last`: it is complete."""
        if body:
            response.chunks.append(body)
            response.size += len(body)
            if len(response.chunks) > MAX_PARTS:
                response.join_parts()
        if last:
            self._ahead = None
            response.complete = True
            self._receiver.answer_complete(response, True)
        elif body:
            self._receiver.part_received(response)

    def _catch_up(self, head: AnswerHead) -> None:
        """Let the parser read the rest of an answer that was taken without it so far: behind a chunk it is where it is
        behind the head."""
        self._ahead = None
        self._beginning = self._coding = b""
        self._sized, self._chunked = False, True
        self._deaf = True
        self._parser.feed_data(head.bytes or b"")
        self._deaf = False

    def _remember(self, response: Response) -> None:
        """Keep the head of a complete answer, if it came in the first piece and gives the length of the body, or says
        that the body is chunked."""
        beginning, self._beginning = self._beginning, b""
        if response.status in BODILESS or self._sized is self._chunked:
            return
        head = beginning[: beginning.find(HEAD_END) + len(HEAD_END)]
        if self._sized:
            found = split_head(head)
            if found is not None:
                self._known = shared_head(found[0], found[1], response)
        elif head.endswith(HEAD_END) and len(head) <= MAX_REMEMBERED:
            self._known = shared_head(head, None, response)
