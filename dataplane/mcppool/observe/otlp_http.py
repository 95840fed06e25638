"""Requests to a collector of OpenTelemetry: OTLP over HTTP, with protobuf and gzip (decision 0018).

They are made by a thread of its own, so they may wait for the collector.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import urlsplit

from mcppool.header_value import read_value
from mcppool.observe.audit_sinks import SinkUnavailable
from mcppool.spec.sections.collector import CollectorAccess
from mcppool.tls_files import client_context

MAX_ANSWER: Final = 64 * 1024
"""Bytes of a collector's answer that are read."""
MAX_RETRY_AFTER: Final = 60.0
"""Upper bound in seconds on a wait that the collector asks for."""


class CollectorConnection:
    """A connection to one URL of a collector, opened when it is needed. Files with certificates and header values are
    read for each connection or request, so a renewed one is used without a restart. `more` are headers besides those of
    `access`."""

    def __init__(self, url: str, access: CollectorAccess, more: Mapping[str, str] | None = None) -> None:
        self.url = url
        self._parts = urlsplit(url)
        self._access = access
        self._more = dict(more or {})
        self._connection: HTTPConnection | None = None

    def post(self, message: bytes) -> tuple[int, float | None, bytes]:
        """Send a serialized message. Returns status, seconds of Retry-After, and answer. Raises SinkUnavailable.

        A kept connection may have been closed by the other side, so the request is repeated on a new one.
        """
        return self._post(gzip.compress(message, 3))

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, body: bytes) -> tuple[int, float | None, bytes]:
        headers = {**self._more, "Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        for name, value in self._access.headers.items():
            try:
                headers[name] = value.prefix + read_value(value)
            except ValueError as error:
                raise SinkUnavailable(f"the header {name} has no value: {error}") from None
        kept = self._connection is not None
        try:
            return self._exchange(body, headers)
        except (OSError, HTTPException, ValueError) as error:  # the last: what cannot be sent, as a path or a name
            self.close()
            if not kept:
                raise SinkUnavailable(f"{self.url}: {error or type(error).__name__}") from None
        return self._post(body)

    def _exchange(self, body: bytes, headers: dict[str, str]) -> tuple[int, float | None, bytes]:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request("POST", self._parts.path, body, headers)
        with self._connection.getresponse() as response:
            answer = response.read(MAX_ANSWER)
            if not response.isclosed() or response.will_close:
                self.close()
            return response.status, _seconds(response.getheader("Retry-After")), answer

    def _connect(self) -> HTTPConnection:
        access, host = self._access, self._parts.hostname or ""
        if self._parts.scheme == "http":
            return HTTPConnection(host, self._parts.port, timeout=access.timeout)
        context = client_context(access.ca_file, access.certificate_file, access.key_file)
        return HTTPSConnection(host, self._parts.port, timeout=access.timeout, context=context)


def _seconds(text: str | None) -> float | None:
    """The seconds of a Retry-After header; a date counts as none."""
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER) if math.isfinite(seconds) else None
