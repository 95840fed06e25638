"""`auth` and `tls`: authentication of clients, of the gateway at the servers, and of the servers."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mcppool.spec.model import Requires, Rule, Section
from mcppool.spec.sections.inbound import InboundAuthSpec
from mcppool.spec.sections.outbound import OutboundAuthSpec
from mcppool.spec.values import FileName
from mcppool.spec.written_urls import HostName


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
    server_name: HostName | None = Field(
        None, description="Name that the certificates must have, in place of the name in the URL."
    )
    certificate_file: FileName | None = Field(None, description="File with the gateway's own certificate.")
    key_file: FileName | None = Field(None, description="File with its private key.")
