"""Spans in the binary form of OTLP (protocol buffers), written field by field.

The generated classes of `opentelemetry-proto` take five times as long: they keep each attribute of each span as an
object. Field numbers are those of
https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from struct import Struct
from typing import Final

from mcppool.observe.tracing.span import Operation, Span, Value
from mcppool.policy.trace_context import TraceContext

_SERVER, _CLIENT = b"\x30\x02", b"\x30\x03"  # kind = 6
_ERROR: Final = b"\x18\x02"  # Status.code = 3
_SAMPLED, _HAS_REMOTE, _REMOTE = 0x01, 0x100, 0x200  # of `flags`
_WHOLE: Final = (1 << 64) - 1
_SMALL: Final = 0x80
_TIMES: Final = Struct("<BQBQ").pack  # start_time_unix_nano = 7, end_time_unix_nano = 8
_FLAGS: Final = Struct("<BBI").pack  # flags = 16, the same in a link = 6
_LINK_FLAGS: Final = Struct("<BI").pack
_LENGTHS: Final = tuple(bytes((length,)) for length in range(_SMALL))

_ID: Final = "jsonrpc.request.id"
_ID_NAME: Final = b"\x0a%c%b" % (len(_ID), _ID.encode())


def trace_request(spans: Iterable[Span], source: bytes, scope: bytes) -> bytes:
    """The message `ExportTraceServiceRequest` with `spans`; `source` is the encoded resource, `scope` the encoded
    instrumentation scope."""
    scope_spans = b"".join((_field(b"\x0a", scope), *(_field(b"\x12", _span(span)) for span in spans)))
    return _field(b"\x0a", _field(b"\x0a", source) + _field(b"\x12", scope_spans))


def _span(span: Span) -> bytes:
    operation = span.operation
    parts = [
        b"\x0a\x10", bytes.fromhex(span.trace_id),
        b"\x12\x08", bytes.fromhex(span.span_id),
        operation.encoded or _encode(operation),
        _TIMES(0x39, span.start, 0x41, span.end),
    ]  # fmt: skip
    if span.state:
        parts.append(_text(b"\x1a", span.state))
    if span.parent_id:
        parts += (b"\x22\x08", bytes.fromhex(span.parent_id))
    for name, value in span.attributes.items():
        parts.append(_id(value) if name == _ID else _attribute(name, value))
    if span.link is not None:
        parts.append(_field(b"\x6a", _link(span.link)))
    if span.error is not None:
        parts.append(_attribute("error.type", span.error))
        parts.append(_field(b"\x7a", (_text(b"\x12", span.message) if span.message else b"") + _ERROR))
    flags = _SAMPLED | _HAS_REMOTE | (_REMOTE if span.remote else 0)
    parts.append(_FLAGS(0x85, 0x01, flags))
    return b"".join(parts)


def _encode(operation: Operation) -> bytes:
    """The fields that all spans of an operation have."""
    attributes = [_attribute(name, value) for name, value in operation.attributes.items()]
    kind = _SERVER if operation.kind == "server" else _CLIENT
    operation.encoded = encoded = b"".join((_text(b"\x2a", operation.name), kind, *attributes))
    return encoded


def _link(context: TraceContext) -> bytes:
    flags = (_SAMPLED if context.sampled else 0) | _HAS_REMOTE | _REMOTE
    state = _text(b"\x1a", context.state) if context.state else b""
    ids = b"\x0a\x10" + bytes.fromhex(context.trace_id) + b"\x12\x08" + bytes.fromhex(context.span_id)
    return ids + state + _LINK_FLAGS(0x35, flags)


@lru_cache(maxsize=1024)
def _attribute(name: str, value: Value) -> bytes:
    """An attribute of a span. Most come again with the next span."""
    encoded = b"\x18" + _varint(value & _WHOLE) if isinstance(value, int) else _text(b"\x0a", value)
    return _field(b"\x4a", _text(b"\x0a", name) + _field(b"\x12", encoded))


def _id(value: Value) -> bytes:
    """The attribute `_ID`, which each span has with another value."""
    return _field(b"\x4a", _ID_NAME + _field(b"\x12", _text(b"\x0a", str(value))))


def _text(tag: bytes, text: str) -> bytes:
    """A text; a lone surrogate, which some servers and clients send, becomes a question mark."""
    return _field(tag, text.encode("utf-8", "replace"))


def _field(tag: bytes, content: bytes) -> bytes:
    """A field of bytes: its tag, its length and its content."""
    length = len(content)
    return tag + (_LENGTHS[length] if length < _SMALL else _varint(length)) + content


def _varint(number: int) -> bytes:
    """A whole number that is not negative, seven bits in each byte, the lowest first."""
    made = bytearray()
    while number >= _SMALL:
        made.append(number & 0x7F | _SMALL)
        number >>= 7
    made.append(number)
    return bytes(made)
