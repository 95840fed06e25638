"""`auth` and `tls`: authentication of clients, of the gateway at the servers, and of the servers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from mcppool.spec.model import Member, Requires, Rule, Section
from mcppool.spec.sections.outbound import OutboundAuthSpec
from mcppool.spec.values import FileName, Text

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$", max_length=128)]
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=2048)]
InboundType = Literal["none", "jwt", "api_key"]


class JwtSpec(Section):
    """Bearer tokens signed by an issuer."""

    issuer: HttpUrl = Field(description="Issuer that signs the tokens.")
    audiences: tuple[Text, ...] = Field(
        min_length=1, max_length=16, description="Audiences, one of which a token must have."
    )
    jwks_uri: HttpUrl | None = Field(None, description="URL of the issuer's keys. Default: found through the issuer.")
    required_scopes: tuple[Text, ...] = Field((), max_length=32, description="Scopes that a token must have.")
    principal_claim: Text = Field("sub", description="Claim with the name of the client.")


class ApiKeySpec(Section):
    """Keys from a file."""

    header: HeaderName = Field("Authorization", description="Header with the client's key.")
    keys_file: FileName = Field(description="File with names and keys of clients.")


class InboundAuthSpec(Section):
    """Authentication of clients."""

    rules: ClassVar[tuple[Rule, ...]] = (Member("jwt", "jwt"), Member("api_key", "api_key"))

    type: InboundType = Field("none", description="How clients authenticate.")
    jwt: JwtSpec | None = Field(None, description="For type jwt.")
    api_key: ApiKeySpec | None = Field(None, description="For type api_key.")


class AuthSpec(Section):
    """Authentication in both directions."""

    inbound: InboundAuthSpec = Field(InboundAuthSpec(), description="Authentication of clients.")
    outbound: OutboundAuthSpec = Field(OutboundAuthSpec(), description="How the gateway authenticates to the servers.")


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
