"""OTLP over gRPC, with the library of the extra `otel-grpc`. Loads it, so only a sender that needs it imports this.

https://opentelemetry.io/docs/specs/otlp/#otlpgrpc
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError

from mcppool.header_value import read_value
from mcppool.observe.audit_sinks import SinkUnavailable
from mcppool.observe.logs import get_logger
from mcppool.observe.otlp_http import MAX_ANSWER, MAX_RETRY_AFTER
from mcppool.spec.sections.collector import CollectorAccess

SERVICES: Final = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
}
RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS,
    }
)  # fmt: skip
"""Codes after which the same request is sent again. So is RESOURCE_EXHAUSTED if the collector names a delay."""
_RETRY_INFO: Final = b"type.googleapis.com/google.rpc.RetryInfo\x12"
_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),  # as over HTTP
    ("grpc.use_local_subchannel_pool", 1),  # `close` closes the connection
    ("grpc.max_receive_message_length", MAX_ANSWER),
)

log = get_logger("tracing")


class GrpcSignal:
    """The service of a collector for one kind of messages; see `Signal`. Files with certificates and header values are
    read for each message, so a renewed one is used without a restart."""

    def __init__(self, url: str, kind: str, access: CollectorAccess, headers: Mapping[str, str]) -> None:
        self._url = url
        self._service = SERVICES[kind]
        self._access = access
        self._more = headers
        self._refused: set[grpc.StatusCode] = set()
        self._files: tuple[bytes | None, ...] = ()
        self._channel: Any = None
        self._export: Callable[..., bytes] | None = None

    def send(self, message: bytes) -> bytes | None:
        """See `Signal`."""
        try:
            return self._connected()(message, timeout=self._access.timeout, metadata=self._metadata())
        except grpc.RpcError as error:
            code, after = error.code(), _delay(error)
            if code in RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and after is not None):
                raise SinkUnavailable(f"{self._url}: {code.name}: {error.details()}", after) from None
            if code not in self._refused:  # each code once
                self._refused.add(code)
                log.error("collector_refuses", url=self._url, status=code.name, detail=error.details())
            return None
        except (OSError, ValueError) as error:  # a file that cannot be read; a header that gRPC does not send
            raise SinkUnavailable(f"{self._url}: {error or type(error).__name__}") from None

    def close(self) -> None:
        """See `Signal`."""
        if self._channel is not None:
            self._channel.close()
            self._channel = self._export = None

    def _connected(self) -> Callable[..., bytes]:
        files = self._read_files()
        if self._export is None or files != self._files:
            self.close()
            parts = urlsplit(self._url)
            secure = parts.scheme == "https"
            target = f"{parts.netloc.rpartition('@')[2]}" if parts.port else f"{parts.netloc}:{443 if secure else 80}"
            options = {"options": _OPTIONS, "compression": grpc.Compression.Gzip}
            self._files = files
            self._channel = (
                grpc.secure_channel(target, grpc.ssl_channel_credentials(*files), **options)
                if secure
                else grpc.insecure_channel(target, **options)
            )
            self._export = self._channel.unary_unary(self._service)
        return self._export

    def _read_files(self) -> tuple[bytes | None, ...]:
        """The trusted authorities, the own key and the own certificates; nothing for a connection without TLS."""
        if not self._url.startswith("https:"):
            return ()
        access = self._access
        trusted = access.ca_file or ssl.get_default_verify_paths().cafile
        key = access.key_file or access.certificate_file
        return tuple(
            None if file is None else Path(file).read_bytes() for file in (trusted, key, access.certificate_file)
        )

    def _metadata(self) -> list[tuple[str, str]]:
        found = {name.lower(): value for name, value in self._more.items()}
        for name, value in self._access.headers.items():
            try:
                found[name.lower()] = value.prefix + read_value(value)
            except ValueError as error:
                raise SinkUnavailable(f"the header {name} has no value: {error}") from None
        return list(found.items())


def _delay(error: Any) -> float | None:
    """The seconds after which the collector wants the message again: `RetryInfo` in the details of its status."""
    details = next((value for name, value in error.trailing_metadata() or () if name == "grpc-status-details-bin"), b"")
    _, found, info = details.partition(_RETRY_INFO)
    if not found or len(info) < 3:
        return None
    size = info[2]  # the length of RetryInfo, the tag of its only field, and that field's length come first
    try:
        delay: float = Duration.FromString(info[3 : 3 + size]).ToTimedelta().total_seconds()
    except (DecodeError, OverflowError, ValueError):
        return None
    return min(max(delay, 0.0), MAX_RETRY_AFTER)
