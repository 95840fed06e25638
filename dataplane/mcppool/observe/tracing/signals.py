"""Where spans or durations go at a collector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from mcppool.observe.audit_sinks import SinkUnavailable
from mcppool.observe.logs import get_logger
from mcppool.observe.otlp_http import CollectorConnection
from mcppool.spec.sections.collector import CollectorAccess

RETRYABLE: Final = frozenset({429, 502, 503, 504})
"""Statuses after which the same request is sent again, by OTLP's specification."""

log = get_logger("tracing")


class Signal(Protocol):
    """The way of one kind of messages to a collector. Its methods may wait."""

    def send(self, message: bytes) -> bytes | None:
        """Send a message. Returns the collector's answer, None if it refuses the message for good. Raises
        SinkUnavailable if the same may be sent again later."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


class HttpSignal:
    """OTLP over HTTP; see `Signal`."""

    def __init__(self, url: str, access: CollectorAccess, headers: Mapping[str, str]) -> None:
        self._connection = CollectorConnection(url, access, headers)
        self._refused: set[int] = set()

    def send(self, message: bytes) -> bytes | None:
        """See `Signal`."""
        url = self._connection.url
        status, retry_after, answer = self._connection.post(message)
        if status in RETRYABLE:
            raise SinkUnavailable(f"{url} answers with status {status}", retry_after)
        if 200 <= status < 300:
            return answer
        if status not in self._refused:  # each status once
            self._refused.add(status)
            log.error("collector_refuses", url=url, status=status)
        return None

    def close(self) -> None:
        """See `Signal`."""
        self._connection.close()
