"""`auth.inbound`: authentication of clients."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from mcppool.spec.model import Check, Exclusive, Member, Rule, Section
from mcppool.spec.values import Duration, DurationRule, FileName, Hint, Integer, Scope, Text
from mcppool.spec.written_urls import AbsoluteUrl, TrustedUrl

InboundType = Literal["none", "api_keys", "jwt", "introspection", "mtls", "passthrough"]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures with a public key. Shared secrets are excluded, because everyone who can check them can forge tokens."""

KEY_HEADERS_NEVER: Final = frozenset(
    {
        "accept",
        "accept-language",
        "baggage",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "last-event-id",
        "origin",
        "traceparent",
        "tracestate",
        "transfer-encoding",
        "upgrade",
    }
)


def _check_key_header(name: str) -> str:
    if name.lower() in KEY_HEADERS_NEVER or name.lower().startswith("mcp-"):
        raise PydanticCustomError("header", "has another meaning")
    return name


KeyHeader = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9-]+$", max_length=128),
    AfterValidator(_check_key_header),
    Hint("the name of a header, such as X-Api-Key", r"^[A-Za-z0-9-]+$"),
]


class ApiKeysSpec(Section):
    """Keys that this gateway knows by their hashes."""

    keys_file: FileName = Field(
        description="File with the hashes of the keys, as `mcppool keys add` writes it. The gateway reads it again "
        "when it changes."
    )
    header: KeyHeader = Field(
        "Authorization",
        description="Header with the key: `Authorization: Bearer KEY`, or the key alone in any other header.",
    )


class IssuerSpec(Section):
    """An authorization server whose access tokens are accepted."""

    list_key: ClassVar[str | None] = "issuer"
    rules: ClassVar[tuple[Rule, ...]] = (Exclusive(("jwks_uri", "jwks_file")),)

    issuer: TrustedUrl = Field(description="Its identifier, exactly as in the `iss` claim of its tokens.")
    audiences: tuple[Text, ...] = Field(
        (),
        max_length=16,
        description="Accepted audiences. A token must have one of them. Default: `auth.inbound.resource`.",
    )
    jwks_uri: TrustedUrl | None = Field(
        None, description="URL of its keys. Default: as its metadata says (RFC 8414, OpenID Connect Discovery)."
    )
    jwks_file: FileName | None = Field(
        None, description="File with its keys, in place of a URL. The gateway reads it again when it changes."
    )
    ca_file: FileName | None = Field(
        None, description="File with the certificate authorities of the issuer, in place of the system's."
    )
    algorithms: tuple[Algorithm, ...] = Field(
        ("RS256", "PS256", "ES256", "EdDSA"), min_length=1, max_length=10, description="Signatures that are accepted."
    )
    token_types: tuple[Text, ...] = Field(
        ("at+jwt",),
        min_length=1,
        max_length=8,
        description="Accepted values of the `typ` header (RFC 9068); a token without one is a `JWT`. Some issuers need "
        "`JWT` here.",
    )
    subject_claim: Text = Field("sub", description="Claim that identifies the user or service.")
    groups_claim: Text = Field("groups", description="Claim with the groups of the subject.")


class JwtSpec(Section):
    """Signed access tokens (OAuth 2.1)."""

    issuers: tuple[IssuerSpec, ...] = Field(min_length=1, max_length=16, description="Issuers that are trusted.")
    clock_skew: Annotated[float, DurationRule(minimum=0.0, maximum=300.0)] = Field(
        30.0, description="Allowed difference between the clocks of issuer and gateway."
    )


class IntrospectionSpec(Section):
    """Opaque access tokens, about which the gateway asks their issuer (RFC 7662)."""

    issuer: TrustedUrl = Field(description="Identifier of the authorization server.")
    introspection_url: TrustedUrl | None = Field(
        None, description="URL of its introspection endpoint. Default: as its metadata says."
    )
    client_id: Text = Field(description="The gateway's own client id at the issuer.")
    client_secret_file: FileName = Field(
        description="File with the gateway's secret. The gateway reads it again for each request."
    )
    audiences: tuple[Text, ...] = Field(
        (),
        max_length=16,
        description="Accepted audiences. A token must have one of them. Default: `auth.inbound.resource`.",
    )
    ca_file: FileName | None = Field(
        None, description="File with the certificate authorities of the issuer, in place of the system's."
    )
    subject_claim: Text = Field("sub", description="Claim that identifies the user or service.")
    groups_claim: Text = Field("groups", description="Claim with the groups of the subject.")


class InboundAuthSpec(Section):
    """Authentication of clients."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Member("api_keys", "api_keys"),
        Member("jwt", "jwt"),
        Member("introspection", "introspection"),
        Check(
            "!(self.type in ['None', 'Passthrough']) || !has(self.requiredScopes) || size(self.requiredScopes) == 0",
            "requires scopes, which the gateway does not know of clients whose credentials it does not check",
            lambda spec: spec.type not in ("none", "passthrough") or not spec.required_scopes,
            "required_scopes",
        ),
        Check(
            "!has(self.dpop) || self.dpop == 'Off' || (has(self.type) && self.type in ['JWT', 'Introspection'])",
            "needs access tokens of an issuer: type jwt or introspection",
            lambda spec: spec.type in ("jwt", "introspection") or spec.dpop == "off",
            "dpop",
        ),
        Check(
            "!has(self.dpopNonce) || !self.dpopNonce || (has(self.dpop) && self.dpop != 'Off')",
            "has no effect, because dpop is off",
            lambda spec: not spec.dpop_nonce or spec.dpop != "off",
            "dpop_nonce",
        ),
    )

    type: InboundType = Field(
        "none",
        description="How clients authenticate. `none` accepts every client; it must be written out if the gateway "
        "listens on an address that is not a loopback address. `mtls` is by client certificate "
        "(`listener.tls.client_ca_file`). `passthrough` leaves it to the servers, which get the client's "
        "`Authorization`.",
    )
    api_keys: ApiKeysSpec | None = Field(None, description="For type api_keys.")
    jwt: JwtSpec | None = Field(None, description="For type jwt.")
    introspection: IntrospectionSpec | None = Field(None, description="For type introspection.")
    dpop: Literal["off", "accepted", "required"] = Field(
        "off",
        description="Whether clients may or must prove, with each request, that they hold the key of their token "
        "(RFC 9449). For types jwt and introspection. `required` refuses plain bearer tokens.",
    )
    dpop_nonce: bool = Field(
        False,
        description="Whether each DPoP proof needs a nonce of the gateway, which it sends with its 401.",
    )
    required_scopes: tuple[Scope, ...] = Field(
        (), max_length=32, description="Scopes that a client needs to use the pool at all."
    )
    resource: AbsoluteUrl | None = Field(
        None,
        description="URL of the pool as clients type it. Default: `listener.external_url` and the path of the pool.",
    )
    revocation_bound: Duration = Field(
        300.0, description="Upper bound on how long a verified token is accepted without another verification."
    )
    max_failures_per_minute: Integer = Field(
        60,
        ge=1,
        le=1_000_000,
        description="Failures to authenticate per minute and client address. Beyond them a failure gets 429.",
    )
