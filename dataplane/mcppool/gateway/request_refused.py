"""A request that the gateway refuses before it reaches a pool."""

from __future__ import annotations

from mcppool.wire.errors import error_body


class RequestRefused(Exception):
    """A request that reaches no pool. `reason` is its label in the metric of malformed input, None if it has none."""

    def __init__(
        self,
        reason: str | None,
        status: int,
        code: int,
        message: str,
        headers: bytes = b"",
        *,
        data: object = None,
        id: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.headers = headers
        self.body = error_body(id, code, message, data)
