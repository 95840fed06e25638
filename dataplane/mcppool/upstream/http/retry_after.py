"""The wait that an answer asks the gateway for."""

from __future__ import annotations

from time import time

from mcppool.upstream.http.response import Response
from mcppool.wire.headers import retry_after


def asked_to_wait(response: Response) -> float | None:
    """Seconds, None if the answer names no time."""
    value = response.header(b"retry-after")
    return retry_after(value, time(), response.header(b"date")) if value is not None else None
