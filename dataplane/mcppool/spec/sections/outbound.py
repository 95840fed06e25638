"""`auth.outbound`: how the gateway authenticates to the servers, and what it tells them of the client."""

from __future__ import annotations

import ipaddress
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from mcppool.spec.model import Member, OneOf, Requires, Rule, Section
from mcppool.spec.sections.headers import SentHeader
from mcppool.spec.values import FileName, Hint, Text

OutboundType = Literal["none", "token", "client_credentials"]
TokenText = Annotated[
    str,
    StringConstraints(pattern=r"^[!-~]+$", max_length=512),
    Hint("printable ASCII without spaces", r"^[!-~]+$"),
]


def check_secure_url(url: str) -> str:
    """Refuse an address to which a secret would go in clear, or that is no plain address. Raises PydanticCustomError,
    a ValueError."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise PydanticCustomError("url", "is not a URL") from None
    if not host or any(c <= " " or c == "\x7f" for c in url) or parts.scheme not in ("http", "https"):
        raise PydanticCustomError("url", "is not a URL")
    if "@" in parts.netloc:
        raise PydanticCustomError("url", "has a user name or password in it, and it would show in logs")
    if "#" in url or "?" in url:
        raise PydanticCustomError("url", "has a query or a fragment")
    if parts.scheme == "http" and not _is_loopback(host):
        raise PydanticCustomError("url", "is not https, and secrets would go there in clear")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


SecureUrl = Annotated[
    str,
    StringConstraints(max_length=2048),
    AfterValidator(check_secure_url),
    Hint(
        "an https URL without user name, query and fragment; http for a loopback address",
        r"^https?://[^\s/?#@]+[^\s?#]*$",
    ),
]


class OutboundTokenSpec(Section):
    """A secret that the gateway sends with every request to the servers."""

    header: SentHeader = Field("Authorization", description="Header with the secret.")
    token_file: FileName = Field(description="File with the secret. The gateway reads it again when it changes.")
    prefix: Annotated[str, StringConstraints(pattern=r"^[ -~]*$", max_length=64)] | None = Field(
        None, description="Text before the secret. Default: `Bearer ` in `Authorization`, nothing in other headers."
    )

    @property
    def scheme(self) -> str:
        """The text before the secret."""
        if self.prefix is not None:
            return self.prefix
        return "Bearer " if self.header.lower() == "authorization" else ""


class ClientCredentialsSpec(Section):
    """Access tokens for the gateway itself, from an OAuth authorization server (RFC 6749, section 4.4)."""

    rules: ClassVar[tuple[Rule, ...]] = (
        OneOf(("issuer", "token_url")),
        OneOf(("client_secret_file", "private_key_file")),
        Requires("key_id", "private_key_file"),
        Requires("assertion_audience", "private_key_file"),
        Requires("client_secret_method", "client_secret_file"),
    )

    issuer: SecureUrl | None = Field(
        None, description="Issuer; the gateway reads the token endpoint from its metadata (RFC 8414, OpenID Connect)."
    )
    token_url: SecureUrl | None = Field(None, description="Token endpoint, in place of `issuer`.")
    client_id: TokenText = Field(description="The gateway's client id at the issuer.")
    client_secret_file: FileName | None = Field(
        None, description="File with the client's secret. The gateway reads it for each token."
    )
    client_secret_method: Literal["basic", "post"] | None = Field(
        None, description="Where the secret goes: in an `Authorization` header (the default) or in the body."
    )
    private_key_file: FileName | None = Field(
        None,
        description="PEM file with a private key, for `private_key_jwt` (RFC 7523), read for each token.",
    )
    key_id: TokenText | None = Field(None, description="The `kid` of that key, where the issuer wants one.")
    assertion_audience: Text | None = Field(
        None, description="Audience of the assertion that the key signs. Default: the URL of the token endpoint."
    )
    scopes: tuple[TokenText, ...] = Field((), max_length=64, description="Scopes to ask for.")
    audience: Text | None = Field(None, description="The `audience` parameter of the request for a token.")
    resource: SecureUrl | None = Field(
        None, description="The `resource` parameter of the request for a token (RFC 8707)."
    )
    ca_file: FileName | None = Field(
        None, description="File with the certificate authorities to trust for the issuer, in place of the system's."
    )


class OutboundAuthSpec(Section):
    """How the gateway authenticates to the servers. `tls` has its client certificate."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Member("token", "token"),
        Member("client_credentials", "client_credentials"),
    )

    type: OutboundType = Field("none", description="How the gateway authenticates.")
    token: OutboundTokenSpec | None = Field(None, description="For type token.")
    client_credentials: ClientCredentialsSpec | None = Field(None, description="For type client_credentials.")

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that it sets, in lower case, each with the key that asks for it."""
        match self.type:
            case "none":
                return ()
            case "token":
                assert self.token is not None
                return ((self.token.header.lower(), "auth.outbound.token"),)
            case _:
                return (("authorization", f"auth.outbound.{self.type}"),)
