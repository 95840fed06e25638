"""`listener`, `metrics` and `logging`: settings of the process."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mcppool.spec.address import can_be_looked_up, split_address
from mcppool.spec.model import NotMore, Requires, Rule, Section
from mcppool.spec.values import CountRule, FileName, Flag, Hint, Integer, Size, Text
from mcppool.spec.written_urls import ABSOLUTE_PATTERN, ORIGIN_PATTERN, check_absolute_url


def _check_address(address: str) -> str:
    try:
        split_address(address)
    except ValueError:
        raise PydanticCustomError("address", "is not an address to listen on") from None
    return address


ListenAddress = Annotated[
    str, Field(max_length=300), AfterValidator(_check_address), Hint("HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
]


def _check_host(host: str) -> str:
    if not can_be_looked_up(host):
        raise PydanticCustomError("address", "is neither an address nor a host name")
    return host


ListenHost = Annotated[
    str, Field(max_length=300), AfterValidator(_check_host), Hint("an address or a host name, such as 127.0.0.1 or ::1")
]


def _check_external_url(url: str) -> str:
    return check_absolute_url(url).rstrip("/")


ExternalUrl = Annotated[
    str,
    Field(max_length=2048),
    AfterValidator(_check_external_url),
    Hint("a URL such as https://mcp.example.com, without query", ABSOLUTE_PATTERN),
]


AdminUrl = Annotated[
    str,
    Field(max_length=2048),
    AfterValidator(_check_external_url),
    Hint("a URL such as http://10.0.0.7:9090, without path", ORIGIN_PATTERN),
]


class ListenerTlsSpec(Section):
    """The certificate that the gateway shows, and the certificates that it asks clients for. TLS 1.2 or newer. The
    gateway reads the files again when they change."""

    rules: ClassVar[tuple[Rule, ...]] = (Requires("client_certificates", "client_ca_file"),)

    certificate_file: FileName = Field(description="PEM file with the certificate chain.")
    key_file: FileName = Field(description="PEM file with the private key.")
    client_ca_file: FileName | None = Field(
        None,
        description="PEM file with the certificate authorities of clients. With it, clients have to show a "
        "certificate that one of them has signed.",
    )
    client_certificates: Literal["required", "optional"] | None = Field(
        None, description="Whether a client may come without a certificate. Default: `required`."
    )


class ListenerSpec(Section):
    """The address for clients."""

    rules: ClassVar[tuple[Rule, ...]] = (
        NotMore("max_connections_per_client", "max_connections"),
        NotMore("max_streams_per_client", "max_streams"),
        NotMore("max_streams_per_principal", "max_streams"),
        Requires("accepted_keys", "sealing_keys"),
    )

    listen: ListenAddress = Field("127.0.0.1:8080", description="Host and port. Port 0 takes a free port.")
    allowed_hosts: tuple[Text, ...] = Field(
        (),
        max_length=256,
        description="Host names that requests may use, such as `mcp.example.org`, `*.example.org`, or `*` "
        "for all. A listener on a loopback address always accepts loopback names; any other "
        "always accepts loopback names and IP addresses.",
    )
    allowed_origins: tuple[Text, ...] = Field(
        (), max_length=256, description="Web origins that may call, besides the host itself."
    )
    external_url: ExternalUrl | None = Field(
        None,
        description="URL under which clients reach the listener, such as `https://mcp.example.com`, without the path "
        "of a pool. Behind a proxy that ends TLS it is the proxy's. Default: from `listen`, on a loopback address.",
    )
    tls: ListenerTlsSpec | None = Field(None, description="Serve HTTPS.")
    max_body: Size = Field(
        64 << 20,
        description="Largest request body; at most a quarter of `max_memory_per_client` and of "
        "`max_memory_per_principal`.",
    )
    max_connections: Integer | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Maximum number of client connections. Default: three quarters of the files that the "
        "process may open, but at most one for each 64 KiB of `limits.memory`.",
    )
    max_connections_per_client: Integer | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Maximum number of connections from one address. Default: a quarter of `max_connections`.",
    )
    max_streams: Integer = Field(4096, ge=1, le=1_000_000, description="Maximum number of long-lived streams.")
    max_streams_per_client: Integer | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Maximum number of long-lived streams from one address, without those of authenticated clients. "
        "Default: a quarter of `max_streams`.",
    )
    max_streams_per_principal: Integer | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Maximum number of long-lived streams of one authenticated client in one pool. Default: a quarter "
        "of `max_streams`.",
    )
    max_memory_per_client: Size | None = Field(
        None,
        description="Maximum number of bytes of request bodies and unread answers of one address. A body counts for "
        "the address until its client is authenticated. Default: half of `limits.memory`, less the needs of an idle "
        "gateway.",
    )
    max_memory_per_principal: Size | None = Field(
        None,
        description="Maximum number of bytes of request bodies and unread answers of one authenticated client in one "
        "pool. Default: half of `limits.memory`, less the needs of an idle gateway.",
    )
    sealing_keys: FileName | None = Field(
        None,
        description="File with the keys that seal session ids. Default: a key that the gateway makes at its "
        "start and never stores.",
    )
    accepted_keys: tuple[FileName, ...] = Field(
        (),
        max_length=16,
        description="More files with keys, which open session ids and seal none. The gateway reads a file that does "
        "not exist yet when it appears. Needs `sealing_keys`.",
    )
    workers: Annotated[int | None, CountRule(1, 256, "auto")] = Field(
        1,
        description="Number of processes that share the port; `auto` is one for each processor core that the gateway "
        "may use.",
    )

    @property
    def host(self) -> str:
        """The host part of `listen`."""
        return split_address(self.listen)[0]

    @property
    def port(self) -> int:
        """The port part of `listen`; 0 takes a free one."""
        return split_address(self.listen)[1]


class MetricsSpec(Section):
    """The admin port: health, metrics and configuration."""

    enabled: Flag = Field(True, description="Serve the admin port.")
    host: ListenHost = Field("127.0.0.1", description="Address of the admin port.")
    port: Integer = Field(9090, ge=0, le=65535, description="Port of the admin port; 0 takes a free one.")
    prometheus_enabled: Flag = Field(True, description="Serve /metrics there.")
    allowed_hosts: tuple[Text, ...] = Field(
        (),
        max_length=256,
        description="Host names that requests to the admin port may use; see `listener.allowed_hosts`.",
    )
    token_file: FileName | None = Field(
        None,
        description="File with a bearer token that every page but /livez and /readyz requires. The gateway "
        "reads it again when it changes.",
    )
    gateways: tuple[AdminUrl, ...] = Field(
        (),
        max_length=64,
        description="Admin addresses of the gateways of the same pools. The status page of each one then shows all of "
        "them. Every address of a host name is asked, and the own ones may be among them. They get the token of "
        "`token_file`.",
    )
    tls: ListenerTlsSpec | None = Field(
        None,
        description="Serve HTTPS there. With `client_ca_file`, every page but /livez and /readyz requires a client "
        "certificate, unless `client_certificates` is `optional`.",
    )


class GatewayPlacement(Section):
    """Where this gateway runs."""

    zone: Text | None = Field(
        None,
        description="The gateway's own zone, for load_balancer.zone_preference. Default: the environment "
        "variable MCPPOOL_ZONE.",
    )


class LoggingSpec(Section):
    """Log lines on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged.")
    format: Literal["json", "text"] = Field("json", description="`json` for machines, `text` for people.")
