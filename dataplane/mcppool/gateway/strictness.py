"""What a request's head must be besides what the parser demands.

Two readers that understand one request differently are how requests are smuggled. So whatever h11, a strict reader, refuses is
never forwarded (a property test holds us to it), and a few things more: both framings at once, folded lines, upgrades.
"""

from __future__ import annotations

import re

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")  # RFC 9110 §5.6.2, in lower case
TARGET = re.compile(rb"[\x21-\x7e]+")
VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
LENGTH = re.compile(rb"[0-9]{1,18}")
METHODS = frozenset({b"GET", b"POST", b"DELETE", b"HEAD", b"OPTIONS", b"PUT", b"PATCH"})


class Malformed(Exception):
    """A request that is not read any further: an HTTP status, a word for metrics, a sentence for its sender."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message


def check_head(method: bytes, target: bytes, lines: list[tuple[bytes, bytes]], version: str, max_body: int) -> bool:
    """Check a head; returns whether the client waits for `100 Continue`. Raises Malformed."""
    if version not in ("1.1", "1.0"):
        raise Malformed(505, "version", f"HTTP/{version} is not served; HTTP/1.1 is")
    if method not in METHODS:
        raise Malformed(501, "method", "unknown method")
    if TARGET.fullmatch(target) is None:
        raise Malformed(400, "target", "the target has characters that no target has")
    hosts = lengths = encodings = 0
    expects = False
    for name, value in lines:
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            lengths += 1
            if LENGTH.fullmatch(value) is None:
                raise Malformed(400, "content_length", "Content-Length is not a number")
            if int(value) > max_body:
                raise Malformed(413, "body_too_large", f"the body is larger than {max_body} bytes")
        elif name == b"transfer-encoding":
            encodings += 1
            if value.lower() != b"chunked":
                raise Malformed(501, "transfer_encoding", "the only Transfer-Encoding served is chunked")
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise Malformed(417, "expect", "the only Expect served is 100-continue")
            expects = True
        elif name == b"upgrade":
            raise Malformed(400, "upgrade", "Upgrade is not supported")
        if TOKEN.fullmatch(name) is None or VALUE.fullmatch(value) is None:
            raise Malformed(400, "header", "a header has characters that no header has")
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        raise Malformed(400, "host", "there must be one Host header")
    if lengths > 1 or encodings > 1 or (lengths and encodings):
        raise Malformed(400, "framing", "there must be one Content-Length or one Transfer-Encoding")
    if encodings and version == "1.0":
        raise Malformed(400, "framing", "HTTP/1.0 has no Transfer-Encoding")
    return expects
