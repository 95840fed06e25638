"""Exceptions of calls through the library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcppool.wire.errors import REASONS, Delivered, Reason

if TYPE_CHECKING:
    from mcp_types import InputRequiredResult


class CallFailed(Exception):
    """No server gave a valid answer to the call, in all permitted attempts.

    `reason` is one of the documented reasons. `delivered` tells whether a server had the call: `"no"` (it may be
    repeated without risk), `"yes"`, or `"unknown"`. `attempts` is the number of attempts; `retry_after` is the number
    of seconds after which another try can help, None if unknown. `cause` is the failure of the last attempt, and
    `endpoint` the address of its server; empty, and None, if there was none.
    """

    def __init__(
        self,
        reason: Reason,
        *,
        delivered: Delivered,
        attempts: int,
        retry_after: float | None = None,
        message: str | None = None,
        cause: str = "",
        endpoint: str | None = None,
    ) -> None:
        super().__init__(message or REASONS[reason].meaning)
        self.reason = reason
        self.delivered: Delivered = delivered
        self.attempts = attempts
        self.retry_after = retry_after
        self.cause = cause
        self.endpoint = endpoint

    def __str__(self) -> str:
        tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        where = f" at {self.endpoint}" if self.endpoint is not None else ""
        cause = f"; last cause{where}: {self.cause}" if self.cause else ""
        return f"{self.reason}: {self.args[0]} (delivered: {self.delivered}; {tries}{cause})"


class RpcError(Exception):
    """The server's own error answer: `code`, `message` and `data` of JSON-RPC."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class InputRequired(Exception):
    """The server needs something from the user before it goes on (`resultType: "input_required"`).

    `result.input_requests` lists it. Make the same call again with `input_responses`, and with `request_state`
    unchanged.
    """

    def __init__(self, result: InputRequiredResult) -> None:
        super().__init__(f"the server asks for input: {', '.join(result.input_requests or {})}")
        self.result = result
