"""MCP's HTTP headers: their names, the codec of their values, and the allow-list of client headers for servers.

All names here are lower case, as the listener hands them over.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection
from typing import Final

PROTOCOL_VERSION: Final = "mcp-protocol-version"
METHOD: Final = "mcp-method"
NAME: Final = "mcp-name"
SESSION_ID: Final = "mcp-session-id"
PARAM_PREFIX: Final = "mcp-param-"
LAST_EVENT_ID: Final = "last-event-id"

ROUTING_HEADERS: Final = frozenset({PROTOCOL_VERSION, METHOD, NAME})
"""Headers that decide the route of a request."""

NAME_ATTRIBUTE: Final = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Method → the member of ``params`` that ``Mcp-Name`` repeats."""

NEGOTIATION: Final = frozenset({"accept", "accept-language"})
TRACE_CONTEXT: Final = frozenset({"traceparent", "tracestate", "baggage"})
SINGLE_VALUED: Final = frozenset(
    {PROTOCOL_VERSION, METHOD, NAME, SESSION_ID, LAST_EVENT_ID, "authorization", "content-type", "dpop", "origin"}
)
"""Headers that a request has once, ``Mcp-Param-*`` too: readers of the first and of the last value would disagree."""

_SENTINEL_HEAD: Final = "=?base64?"
_SENTINEL_TAIL: Final = "?="
_SENTINEL_MARKS: Final = len(_SENTINEL_HEAD) + len(_SENTINEL_TAIL)
_PLAIN: Final = re.compile(r"[\x20-\x7E]*")


def connection_options(value: str) -> frozenset[str]:
    """Names of the headers that a ``Connection`` header's value declares hop-by-hop, in lower case."""
    return frozenset(option for part in value.split(",") if (option := part.strip().lower()))


def reaches_servers(name: str, *, modern: bool, listed: Collection[str]) -> bool:
    """Whether a client's header goes on to a server: by allow-list, because the effect of other headers on servers is
    unknown.

    Besides the protocol's own, these are content negotiation, trace context and the headers that the pool lists. The
    routing headers belong to the modern era alone. Headers that the gateway writes itself (`Content-Type`,
    `Mcp-Session-Id`, `Last-Event-ID`) are not among them. `name` and `listed` are in lower case.
    """
    if name in NEGOTIATION or name in TRACE_CONTEXT or name == PROTOCOL_VERSION or name in listed:
        return True
    return modern and (name in (METHOD, NAME) or (name.startswith(PARAM_PREFIX) and "_" not in name))


def is_single_valued(name: str) -> bool:
    """Whether a request may have this header only once."""
    return name in SINGLE_VALUED or name.startswith(PARAM_PREFIX)


def retry_after(value: bytes, now: float, date: bytes | None = None) -> float | None:
    """The seconds in a ``Retry-After`` header (RFC 9110 §10.2.3), None if it has neither form.

    `now` is wall-clock time in seconds. An HTTP date is compared with `date`, the answer's own ``Date``, if it has one,
    because clocks differ.
    """
    if value.isdigit():
        return float(value) if len(value) < 10 else None
    then = _http_date(value)
    said = _http_date(date) if date is not None else None
    return max(0.0, then - (now if said is None else said)) if then is not None else None


def _http_date(value: bytes) -> float | None:
    """Wall-clock seconds of an HTTP date, which is always UTC; None if it is none."""
    # Imported here because few servers ever send one.
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        read = parsedate_to_datetime(value.decode("latin-1"))
        return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _is_sentinel(value: str) -> bool:
    return value.startswith(_SENTINEL_HEAD) and value.endswith(_SENTINEL_TAIL) and len(value) >= _SENTINEL_MARKS


def encode_value(value: str) -> str:
    """A text as the value of ``Mcp-Name`` or ``Mcp-Param-*`` (2026-07-28, "Value encoding").

    Visible ASCII without white space at the edges stays unchanged; everything else, and a text that looks like the
    sentinel itself, becomes ``=?base64?…?=``. Raises UnicodeEncodeError for a lone surrogate, which has no UTF-8.
    """
    if _PLAIN.fullmatch(value) and value == value.strip() and not _is_sentinel(value):
        return value
    return f"{_SENTINEL_HEAD}{base64.b64encode(value.encode()).decode()}{_SENTINEL_TAIL}"


def decode_value(value: str) -> str | None:
    """The decoded text of a header value, or None for a sentinel that no encoder writes.

    Broken or non-canonical base64 and bytes that are not UTF-8 are refused, so that a corrupt header never equals a
    value in the body by accident.
    """
    if not _is_sentinel(value):
        return value
    payload = value[len(_SENTINEL_HEAD) : -len(_SENTINEL_TAIL)]
    try:
        decoded = base64.b64decode(payload, validate=True)
        if base64.b64encode(decoded).decode() != payload:
            return None
        return decoded.decode()
    except (binascii.Error, ValueError):
        return None
