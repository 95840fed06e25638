"""`auth.outbound`: authentication of the gateway at the servers, and the identity of the client for them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from mcppool.spec.model import Member, OneOf, Requires, Rule, Section
from mcppool.spec.sections.headers import Prefix, SentHeader
from mcppool.spec.values import Duration, FileName, Flag, Hint, Text
from mcppool.spec.written_urls import TrustedUrl

OutboundType = Literal["none", "token", "client_credentials", "token_exchange"]
TokenText = Annotated[
    str,
    StringConstraints(pattern=r"^[!-~]+$", max_length=512),
    Hint("printable ASCII without spaces", r"^[!-~]+$"),
]


class OutboundTokenSpec(Section):
    """A secret that the gateway sends with every request to the servers."""

    header: SentHeader = Field("Authorization", description="Header with the secret.")
    token_file: FileName = Field(description="File with the secret. The gateway reads it again when it changes.")
    prefix: Prefix | None = Field(
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

    issuer: TrustedUrl | None = Field(
        None, description="Issuer; the gateway reads the token endpoint from its metadata (RFC 8414, OpenID Connect)."
    )
    token_url: TrustedUrl | None = Field(None, description="Token endpoint, in place of `issuer`.")
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
    resource: TrustedUrl | None = Field(
        None, description="The `resource` parameter of the request for a token (RFC 8707)."
    )
    ca_file: FileName | None = Field(
        None, description="File with the certificate authorities to trust for the issuer, in place of the system's."
    )


class TokenExchangeSpec(ClientCredentialsSpec):
    """Access tokens for the clients, each in exchange for the token that the client has shown (RFC 8693). Health checks
    use a token of the gateway itself, from the same issuer."""

    actor: Flag = Field(
        False, description="Show the gateway's own token too, so that the issuer can name the gateway as the actor."
    )


class IdentitySpec(Section):
    """A signed header that tells the servers who the client is: a JWT that servers verify with the keys at `/jwks.json`
    on the admin port."""

    header: SentHeader = Field("X-Mcppool-Identity", description="Header with the JWT. Clients cannot set it.")
    key_file: FileName = Field(
        description="PEM file with the private key that signs. The gateway reads it again when it changes."
    )
    issuer: Text = Field("mcppool", description="The `iss` claim.")
    audience: Text | None = Field(None, description="The `aud` claim. Default: the name of the pool.")
    lifetime: Duration = Field(300.0, description="How long a JWT is valid. One is used for at most half of it.")
    claims: tuple[Text, ...] = Field(
        (), max_length=32, description="Claims of the client's own token that the JWT repeats, in `claims`."
    )


class OutboundAuthSpec(Section):
    """Authentication of the gateway at the servers, and the identity of the client for them. `tls` has its client
    certificate."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Member("token", "token"),
        Member("client_credentials", "client_credentials"),
        Member("token_exchange", "token_exchange"),
    )

    type: OutboundType = Field("none", description="How the gateway authenticates.")
    token: OutboundTokenSpec | None = Field(None, description="For type token.")
    client_credentials: ClientCredentialsSpec | None = Field(None, description="For type client_credentials.")

    token_exchange: TokenExchangeSpec | None = Field(None, description="For type token_exchange.")
    identity: IdentitySpec | None = Field(None, description="A header that tells who the client is, with any type.")

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that it sets, in lower case, each with the key that asks for it."""
        found: list[tuple[str, str]] = []
        if self.token is not None:
            found.append((self.token.header.lower(), "auth.outbound.token"))
        elif self.type != "none":
            found.append(("authorization", f"auth.outbound.{self.type}"))
        if self.identity is not None:
            found.append((self.identity.header.lower(), "auth.outbound.identity"))
        return tuple(found)
