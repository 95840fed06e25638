"""Checks of a request's head that llhttp does not make.

Request smuggling works with readers that understand one request differently. So the gateway never forwards a request
that h11, a strict reader, refuses; a property test shows it. The test also shows the guarantees of llhttp, which are
not checked again here: header names are tokens, values have no control characters and no folds, lines end with CRLF,
there is one Content-Length of digits at most, one Transfer-Encoding at most, and never both.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_HEAD = 32 * 1024  # bytes of request line and headers
MAX_HEADERS = 100

# llhttp accepts more than one space, and names of other protocols.
REQUEST_LINE = re.compile(rb"([A-Z-]{1,20}) ([\x21-\x7e]+) HTTP/([0-9]\.[0-9])\r\n")
METHODS = frozenset({b"GET", b"POST", b"DELETE", b"HEAD", b"OPTIONS", b"PUT", b"PATCH"})
MAX_LENGTH_DIGITS = 18  # digits; h11 reads 20
MAX_CHUNK_LINE = 4096  # bytes of the line with a chunk's size and extensions, which no client needs
MAX_EXTENSIONS = 16 * 1024  # bytes of all extensions of a body, as in Node
CHUNK_OVERHEAD = 8  # overhead bytes allowed for each byte of a chunked body, in addition to MAX_HEAD
_WATCHED = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
_BARE_LF = re.compile(rb"(?<!\r)\n")


class Malformed(Exception):
    """A request that is not read any further: an HTTP status, a word for metrics, a sentence for its sender."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message


class Framing(NamedTuple):
    """The framing of the body: `length` bytes, or chunked if it is None; whether its sender waits for `100
    Continue`."""

    length: int | None
    expects: bool


def read_request_line(head: bytes) -> tuple[bytes, bytes, bytes]:
    """Method, target and version (`1.1` or `1.0`) of a head. Raises Malformed."""
    line = REQUEST_LINE.match(head)
    if line is None:
        raise Malformed(400, "not_http", "this is not a request of HTTP/1.1")
    method, target, version = line.groups()
    if version not in (b"1.1", b"1.0"):
        raise Malformed(505, "version", f"HTTP/{version.decode()} is not served; HTTP/1.1 is")
    if method not in METHODS:
        raise Malformed(501, "method", "unknown method")
    return method, target, version


def check_beginning(part: bytes | bytearray, new: int) -> None:
    """Refuse bytes that cannot begin a head; `part[new:]` was not checked before. Raises Malformed."""
    line_end = part.find(b"\n", new)
    if line_end >= 0:
        if _BARE_LF.search(part, new):
            raise Malformed(400, "not_http", "lines end with CRLF")
        if part.find(b"\n", 0, line_end) < 0:
            read_request_line(bytes(part[: line_end + 1]))
    elif new == 0 and not part[:1].isupper():
        raise Malformed(400, "not_http", "this is not a request of HTTP/1.1")
    check_size(part)


def check_size(head: bytes | bytearray) -> None:
    """Refuse a head that is too large. Raises Malformed."""
    if len(head) > MAX_HEAD:
        raise Malformed(431, "head_too_large", f"the head is larger than {MAX_HEAD} bytes")


def check_length(length: int, max_body: int) -> None:
    """Refuse a body that is too large before any of it is read. Raises Malformed."""
    if length > max_body:
        raise Malformed(413, "body_too_large", f"the body is larger than {max_body} bytes")


def too_many_headers() -> Malformed:
    """The error for a head with more than MAX_HEADERS header lines."""
    return Malformed(431, "too_many_headers", f"more than {MAX_HEADERS} header lines")


def check_head(lines: list[tuple[bytes, bytes]], version: bytes, max_body: int) -> Framing:
    """Check headers that llhttp has accepted; `lines` have lower-case names and stripped values. Raises Malformed."""
    hosts = 0
    length: int | None = 0
    expects = False
    for name, value in lines:
        if name not in _WATCHED:
            continue
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            length = int(value) if len(value) <= MAX_LENGTH_DIGITS else max_body + 1
            check_length(length, max_body)
        elif name == b"transfer-encoding":
            length = None
            if value.lower() != b"chunked":
                raise Malformed(501, "transfer_encoding", "the only Transfer-Encoding served is chunked")
            if version == b"1.0":
                raise Malformed(400, "framing", "HTTP/1.0 has no Transfer-Encoding")
        elif value.lower() == b"100-continue":
            expects = version == b"1.1"
        else:
            raise Malformed(417, "expect", "the only Expect served is 100-continue")
    if hosts > 1 or (hosts == 0 and version == b"1.1"):
        raise Malformed(400, "host", "there must be one Host header")
    return Framing(length, expects)
