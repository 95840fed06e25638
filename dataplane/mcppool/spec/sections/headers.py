"""`headers`: headers of clients and of the gateway that reach the servers besides those of the protocol."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from mcppool.spec.model import Section, contradiction
from mcppool.spec.sections.local import EnvironmentName
from mcppool.spec.values import FileName, Hint, Secret

_CLIENT_CREDENTIAL: Final = "is meant for this gateway: servers must not get a client's credentials"
_CONNECTION_HEADER: Final = "concerns one connection or the form of one message, which the gateway sets itself"
_PROTOCOL_HEADER: Final = "belongs to the protocol, and the gateway sets its value"
_OUR_HEADER: Final = "is one by which the gateway's own parts know each other"
_ANOTHER_REQUEST: Final = "changes the request after it was checked"

NEVER_FORWARDED: Final = {
    **dict.fromkeys(("authorization", "cookie", "dpop", "proxy-authorization"), _CLIENT_CREDENTIAL),
    **dict.fromkeys(
        (
            "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
            "http2-settings", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer",
            "transfer-encoding", "upgrade",
        ),
        _CONNECTION_HEADER,
    ),
    **dict.fromkeys(("last-event-id", "origin"), _PROTOCOL_HEADER),
    **dict.fromkeys(("mcppool-client", "mcppool-probe", "mcppool-session"), _OUR_HEADER),
    **dict.fromkeys(
        (
            "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range",
            "x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url",
        ),
        _ANOTHER_REQUEST,
    ),
}  # fmt: skip
"""Headers of a client that no pool may forward, in lower case, with the reason."""


def _check_forwarded(name: str) -> str:
    """Refuse a header that a client must not be able to set at a server."""
    lower = name.lower()
    if "_" in name:
        raise PydanticCustomError("header", "has an underscore, which some servers take for a hyphen")
    why = _PROTOCOL_HEADER if lower.startswith("mcp-") else NEVER_FORWARDED.get(lower)
    if why is not None:
        raise PydanticCustomError("header", "{why}", {"why": why})
    return name


ForwardedHeader = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=128),
    AfterValidator(_check_forwarded),
    Hint("the name of a header, such as X-Tenant", r"^[A-Za-z0-9-]+$"),
]


_CREDENTIALS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
_NEGOTIATED: Final = frozenset({"accept", "accept-language", "traceparent", "tracestate", "baggage"})


def _check_sent(name: str) -> str:
    """Refuse a header that the gateway or a client's request already has."""
    lower = name.lower()
    if lower in _NEGOTIATED:
        raise PydanticCustomError("header", "is the client's own, and passes unchanged")
    return name if lower in _CREDENTIALS else _check_forwarded(name)


SentHeader = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=128),
    AfterValidator(_check_sent),
    Hint("the name of a header, such as Authorization", r"^[A-Za-z0-9-]+$"),
]
LITERAL_PATTERN: Final = r"^[!-~]([ -~]*[!-~])?$"
Literal = Annotated[
    str,
    StringConstraints(pattern=LITERAL_PATTERN, max_length=8192),
    Secret(),
    Hint("printable ASCII without white space at its ends", LITERAL_PATTERN),
]
Prefix = Annotated[str, StringConstraints(pattern=r"^[ -~]*$", max_length=64), Hint("up to 64 characters of ASCII")]


class HeaderValueSpec(Section):
    """Value of a header: a text, a file or a variable. A plain string is a `value`."""

    short_form: ClassVar[str | None] = "a string"

    value: Literal | None = Field(None, description="The value itself.")
    value_file: FileName | None = Field(
        None, description="File with the value. The gateway reads it again when it changes."
    )
    value_env: EnvironmentName | None = Field(None, description="Variable of the gateway's environment with the value.")
    prefix: Prefix = Field("", description="Text before the value, such as `Bearer `.")

    @model_validator(mode="before")
    @classmethod
    def _accept_value(cls, data: Any) -> Any:
        return {"value": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _has_one(self) -> HeaderValueSpec:
        if sum(value is not None for value in (self.value, self.value_file, self.value_env)) != 1:
            raise contradiction("one of {0}, {1} and {2} must be set", "value", "value_file", "value_env")
        return self


class HeadersSpec(Section):
    """Headers beyond those of the protocol."""

    forward: tuple[ForwardedHeader, ...] = Field(
        (),
        max_length=32,
        description="Headers of a client that the gateway sends on to the servers, besides those of the "
        "protocol, `Accept`, `Accept-Language` and trace context.",
    )
    send: dict[SentHeader, HeaderValueSpec] = Field(
        {},
        max_length=32,
        description="Headers that the gateway sends with each of its requests to the servers, health checks included.",
    )

    @model_validator(mode="after")
    def _forwards_no_sent_one(self) -> HeadersSpec:
        ours = {name.lower() for name in self.send}
        for index, name in enumerate(self.forward):
            if name.lower() in ours:
                raise contradiction("{header} is in headers.send too", f"forward.{index}", header=name)
        return self
