"""`headers`: which headers of a client reach the servers beside those that the protocol has."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from mcppool.spec.model import Section
from mcppool.spec.values import Hint

_SECRETS_OF_THE_CLIENT: Final = "is meant for this gateway: what a client proves itself with is not for servers"
_OF_THE_CONNECTION: Final = "concerns one connection or the form of one message, which the gateway sets itself"
_OF_THE_PROTOCOL: Final = "belongs to the protocol, and the gateway sends what it must be"
_ANOTHER_REQUEST: Final = "makes another request of the one that was checked"

NEVER_FORWARDED: Final = {
    **dict.fromkeys(("authorization", "cookie", "proxy-authorization"), _SECRETS_OF_THE_CLIENT),
    **dict.fromkeys(
        (
            "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
            "http2-settings", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer",
            "transfer-encoding", "upgrade",
        ),
        _OF_THE_CONNECTION,
    ),
    **dict.fromkeys(("last-event-id", "origin"), _OF_THE_PROTOCOL),
    **dict.fromkeys(
        (
            "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range",
            "x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url",
        ),
        _ANOTHER_REQUEST,
    ),
}  # fmt: skip
"""Headers of a client that no pool may forward, in lower case, and why."""


def _check_forwarded(name: str) -> str:
    """Refuse a header that a client must not be able to set at a server."""
    lower = name.lower()
    if "_" in name:
        raise PydanticCustomError("header", "has an underscore, which some servers take for a hyphen")
    why = _OF_THE_PROTOCOL if lower.startswith("mcp-") else NEVER_FORWARDED.get(lower)
    if why is not None:
        raise PydanticCustomError("header", "{why}", {"why": why})
    return name


ForwardedHeader = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=128),
    AfterValidator(_check_forwarded),
    Hint("the name of a header, such as X-Tenant", r"^[A-Za-z0-9-]+$"),
]


class HeadersSpec(Section):
    """Headers beyond those of the protocol."""

    forward: tuple[ForwardedHeader, ...] = Field(
        (),
        max_length=32,
        description="Headers of a client that are sent on to the servers, besides those of the protocol, `Accept`, "
        "`Accept-Language` and trace context.",
    )
