"""MCP's HTTP headers: their names, the codec of their values, and which headers never pass through the gateway.

All names here are lower case, as the listener hands them over.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

PROTOCOL_VERSION: Final = "mcp-protocol-version"
METHOD: Final = "mcp-method"
NAME: Final = "mcp-name"
SESSION_ID: Final = "mcp-session-id"
PARAM_PREFIX: Final = "mcp-param-"
LAST_EVENT_ID: Final = "last-event-id"

ROUTING_HEADERS: Final = frozenset({PROTOCOL_VERSION, METHOD, NAME})
"""Headers that decide where a request goes. Whoever folds raw header lines into a mapping must say which of these
were repeated (`era.classify`'s ``duplicates``): a reader of the first line and one of the last would disagree."""

NAME_ATTRIBUTE: Final = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""Method → the member of ``params`` that ``Mcp-Name`` repeats."""

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""RFC 9110 §7.6.1: they concern one connection. What ``Connection`` names joins them (`connection_options`)."""

NOT_FORWARDED_UPSTREAM: Final = HOP_BY_HOP | {
    "accept-encoding",  # we read what servers answer
    "authorization",  # the specification forbids passing a client's token on
    "content-length",  # set from the body that we send
    "cookie",
    "expect",
    "host",  # the endpoint's own
    "http2-settings",
    "last-event-id",
    "mcp-session-id",  # sealed: it means something to us only
    "origin",  # checked here; a server bound to localhost would refuse it
}
"""Request headers that never go to a server as the client sent them."""

NOT_FORWARDED_DOWNSTREAM: Final = HOP_BY_HOP | {
    "alt-svc",
    "content-length",
    "date",
    "mcp-session-id",  # servers send useless ones with errors; ours is minted by the session layer
    "server",
    "set-cookie",
    "strict-transport-security",
    "www-authenticate",  # a challenge to the gateway, not to the client
}
"""Response headers of a server that never go to a client as the server sent them."""

_SENTINEL_HEAD: Final = "=?base64?"
_SENTINEL_TAIL: Final = "?="
_SENTINEL_MARKS: Final = len(_SENTINEL_HEAD) + len(_SENTINEL_TAIL)
_PLAIN: Final = re.compile(r"[\x20-\x7E]*")


def connection_options(value: str) -> frozenset[str]:
    """Names of the headers that a ``Connection`` header's value declares to be hop-by-hop, in lower case."""
    return frozenset(option for part in value.split(",") if (option := part.strip().lower()))


def retry_after(value: bytes, now: float, date: bytes | None = None) -> float | None:
    """The seconds that a ``Retry-After`` header asks for (RFC 9110 §10.2.3), None where it is neither form.

    `now` is wall-clock time in seconds. An HTTP date is compared with `date`, the answer's own ``Date``, where it has
    one, since clocks differ.
    """
    if value.isdigit():
        return float(value) if len(value) < 10 else None
    then = _http_date(value)
    said = _http_date(date) if date is not None else None
    return max(0.0, then - (now if said is None else said)) if then is not None else None


def _http_date(value: bytes) -> float | None:
    """Wall-clock seconds of an HTTP date, which is always UTC; None where it is none."""
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

    Visible ASCII without white space at the edges stays as it is; everything else, and a text that looks like the
    sentinel itself, becomes ``=?base64?…?=``. Raises UnicodeEncodeError for a lone surrogate, which has no UTF-8.
    """
    if _PLAIN.fullmatch(value) and value == value.strip() and not _is_sentinel(value):
        return value
    return f"{_SENTINEL_HEAD}{base64.b64encode(value.encode()).decode()}{_SENTINEL_TAIL}"


def decode_value(value: str) -> str | None:
    """The text that a header value stands for, or None for a sentinel that nobody's encoder writes.

    Refused are base64 that is broken or not canonical and bytes that are not UTF-8, so that a corrupt header never
    equals a value in the body by accident.
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
