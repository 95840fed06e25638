"""`auth` and `tls`: who may call, and how we identify ourselves and our servers upstream."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from mcppool.spec.model import Member, Requires, Rule, Section
from mcppool.spec.values import FileName, Text

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$", max_length=128)]
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=2048)]
InboundType = Literal["none", "jwt", "api_key"]


class JwtSpec(Section):
    """Bearer tokens signed by an issuer."""

    issuer: HttpUrl = Field(description="Who signs.")
    audiences: tuple[Text, ...] = Field(
        min_length=1, max_length=16, description="Whom a token must be made for, one of these."
    )
    jwks_uri: HttpUrl | None = Field(
        None, description="Where the issuer's keys are; default: found through the issuer."
    )
    required_scopes: tuple[Text, ...] = Field((), max_length=32, description="Scopes that a token must have.")
    principal_claim: Text = Field("sub", description="The claim that names the client.")


class ApiKeySpec(Section):
    """Keys from a file."""

    header: HeaderName = Field("Authorization", description="Where clients put their key.")
    keys_file: FileName = Field(description="Names and keys of clients.")


class InboundAuthSpec(Section):
    """Who may call this pool."""

    rules: ClassVar[tuple[Rule, ...]] = (Member("jwt", "jwt"), Member("api_key", "api_key"))

    type: InboundType = Field("none", description="How clients prove who they are.")
    jwt: JwtSpec | None = Field(None, description="For type jwt.")
    api_key: ApiKeySpec | None = Field(None, description="For type api_key.")


class OutboundTokenSpec(Section):
    """A secret sent with every request to the servers."""

    header: HeaderName = Field("Authorization", description="The header that carries it.")
    token_file: FileName = Field(description="The secret; read again when it changes.")


class OutboundAuthSpec(Section):
    """How the gateway identifies itself to the servers."""

    rules: ClassVar[tuple[Rule, ...]] = (Member("token", "token"),)

    type: Literal["none", "token"] = Field("none", description="How the gateway identifies itself.")
    token: OutboundTokenSpec | None = Field(None, description="For type token.")


class AuthSpec(Section):
    """Both directions."""

    inbound: InboundAuthSpec = Field(InboundAuthSpec(), description="Who may call.")
    outbound: OutboundAuthSpec = Field(
        OutboundAuthSpec(), description="How the gateway identifies itself to the servers."
    )


class UpstreamTlsSpec(Section):
    """How the gateway verifies `https` endpoints; by default with the system's certificate authorities."""

    rules: ClassVar[tuple[Rule, ...]] = (Requires("key_file", "certificate_file"),)

    ca_file: FileName | None = Field(
        None, description="File with the certificate authorities to trust in place of the system's."
    )
    server_name: Text | None = Field(
        None, description="Name that the certificates must have, in place of the name in the URL."
    )
    certificate_file: FileName | None = Field(None, description="File with the gateway's own certificate.")
    key_file: FileName | None = Field(None, description="File with its private key.")
