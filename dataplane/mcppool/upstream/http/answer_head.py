"""The head of an answer, kept to recognise an equal head later."""

from __future__ import annotations

from typing import Final

from mcppool.upstream.http.response import Response
from mcppool.wire.repeated_head import RepeatedHead

MAX_SHARED: Final = 64
"""Heads that are shared; each has at most some KiB."""


class AnswerHead(RepeatedHead):
    """The head of a complete answer.

    `before` and `after` are its bytes around the digits of Content-Length; of the head of a chunked answer, `before` is
    all of it and `after` is None. `bytes` is the head of a chunked answer, None for any other. `lines` are its headers
    without Content-Length, names in lower case; `keep_for` is its Keep-Alive time-out in seconds, None if it has none.
    """

    __slots__ = ("bytes", "content_type", "keep_for", "lines", "status")

    def __init__(self, before: bytes, after: bytes | None, response: Response) -> None:
        self.remember(before, after or b"")
        self.bytes = before if after is None else None  # of the head of a chunked answer
        self.status = response.status
        self.lines = [line for line in response.headers if line[0] != b"content-length"]
        self.content_type = response.content_type
        said = [keep_alive_timeout(value) for name, value in self.lines if name == b"keep-alive"]
        self.keep_for = next((seconds for seconds in reversed(said) if seconds is not None), None)


SHARED: Final[dict[tuple[bytes, bytes | None], AnswerHead]] = {}


def shared_head(before: bytes, after: bytes | None, response: Response) -> AnswerHead:
    """The head of an answer, shared by the connections on which it comes: the replicas of a server mostly send the same
    one. It takes less memory, and what all calls read stays in the caches of the processor."""
    key = before, after
    head = SHARED.get(key)
    if head is None:
        if len(SHARED) >= MAX_SHARED:
            SHARED.clear()
        head = SHARED[key] = AnswerHead(before, after, response)
    return head


def keep_alive_timeout(value: bytes) -> float | None:
    """Return the seconds of `timeout=` in a Keep-Alive header, None if it has none."""
    timeout = None
    for part in value.split(b","):
        key, _, seconds = part.strip().partition(b"=")
        if key.lower() == b"timeout" and seconds.isdigit():
            timeout = float(seconds)
    return timeout
