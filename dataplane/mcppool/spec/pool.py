"""A pool: its endpoints and its policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, PrivateAttr, StringConstraints, model_validator

from mcppool.spec.model import Exclusive, Incompatible, NeedsElsewhere, Refused, Rule, Section, contradiction
from mcppool.spec.sections.access import CLIENT_CONDITIONS, KNOWN_CONDITIONS, AccessSpec
from mcppool.spec.sections.audit import AuditSpec
from mcppool.spec.sections.auth import AuthSpec, UpstreamTlsSpec
from mcppool.spec.sections.cache import CacheSpec
from mcppool.spec.sections.connection_pool import ConnectionPoolSpec
from mcppool.spec.sections.headers import HeadersSpec, HeaderValueSpec, SentHeader
from mcppool.spec.sections.health import HealthCheckSpec, OutlierDetectionSpec
from mcppool.spec.sections.load_balancer import LoadBalancerSpec
from mcppool.spec.sections.local import EnvironmentName, EnvironmentPattern, EnvironmentValue, LocalSpec
from mcppool.spec.sections.protection import CircuitBreakerSpec, LimitsSpec, RateLimitSpec
from mcppool.spec.sections.retry_policy import RetryPolicySpec
from mcppool.spec.sections.sessions import CatalogSpec, SessionsSpec
from mcppool.spec.sections.timeouts import TimeoutsSpec
from mcppool.spec.sections.tools import ToolName, ToolSpec
from mcppool.spec.sections.tracing import TracingSpec
from mcppool.spec.urls import shown_key
from mcppool.spec.values import Flag, Hint, Integer, SnapshotOnly, Text
from mcppool.spec.written_urls import HostName, Url

DEFAULT_REPLICAS = 3
"""Default number of processes of a local server."""

NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
PoolName = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN, max_length=50),
    Hint("a DNS label: at most 50 lower-case letters, digits and inner hyphens"),
]


class StaticEndpointSpec(Section):
    """One replica of the pool's server, as in a resource."""

    list_key: ClassVar[str | None] = "url"
    short_form: ClassVar[str | None] = "a URL"
    refused: ClassVar[Mapping[str, Refused]] = {
        "headers": Refused("object", "an address of a resource has no headers of its own; use headers.send"),
    }

    url: Url = Field(description="Address at which the server speaks MCP.")
    weight: Integer = Field(100, ge=0, le=1000, description="Share of calls relative to the other endpoints.")
    host: HostName | None = Field(
        None,
        description="Name of the server where `url` has an IP address: the gateway sends it as the Host "
        "header and expects it in the certificate.",
    )
    zone: Text | None = Field(None, description="Zone of the endpoint.")
    priority: Integer = Field(
        0, ge=0, le=100, description="Only endpoints of the lowest number that has an available endpoint get calls."
    )
    draining: Annotated[Flag, SnapshotOnly()] = Field(
        False, description="The endpoint drains: it gets no new sessions or calls."
    )
    _secret_path: bool = PrivateAttr(False)

    @property
    def key(self) -> str:
        """Name in logs, metrics and pages: the URL without parts that may be secret."""
        return shown_key(self.url, secret_path=self._secret_path)

    def conceal_path(self) -> None:
        """Hide the path of the URL in the endpoint's name: a part of it is a secret."""
        self._secret_path = True

    @model_validator(mode="before")
    @classmethod
    def _accept_url(cls, data: Any) -> Any:
        return {"url": data} if isinstance(data, str) else data


class EndpointSpec(StaticEndpointSpec):
    """One replica of the pool's server."""

    headers: dict[SentHeader, HeaderValueSpec] = Field(
        {},
        max_length=32,
        description="Headers that the gateway sends with each request to this endpoint. They replace those "
        "of the same name in `headers.send`.",
    )


class PoolPolicy(Section):
    """The sections of a pool. A file may also set them at the top, for all its pools."""

    rules: ClassVar[tuple[Rule, ...]] = (
        NeedsElsewhere("sessions", "store", "redis", "cache", "redis_url"),
        NeedsElsewhere("rate_limit", "store", "redis", "cache", "redis_url"),
        Incompatible(
            (
                ("load_balancer.hash_key", "principal"),
                ("load_balancer.strategy", "consistent_hash"),
                ("auth.inbound.type", "none"),
            ),
            "without authentication all clients are one principal, and one endpoint would get every call; "
            "use tool or header:NAME",
        ),
        *(
            Incompatible(
                (("auth.inbound.type", "passthrough"), ("auth.outbound.type", outbound)),
                "the servers would get the client's credentials and the gateway's; set one of them",
            )
            for outbound in ("token", "client_credentials")
        ),
    )

    connection_pool: ConnectionPoolSpec = Field(ConnectionPoolSpec(), description="Connections to each endpoint.")
    retry_policy: RetryPolicySpec = Field(RetryPolicySpec(), description="Retries of calls.")
    load_balancer: LoadBalancerSpec = Field(LoadBalancerSpec(), description="Choice of the endpoint for a call.")
    health_check: HealthCheckSpec = Field(HealthCheckSpec(), description="Active checks of endpoints.")
    outlier_detection: OutlierDetectionSpec = Field(
        OutlierDetectionSpec(), description="Ejection of endpoints that answer badly."
    )
    circuit_breaker: CircuitBreakerSpec = Field(CircuitBreakerSpec(), description="A breaker per endpoint and tool.")
    timeouts: TimeoutsSpec = Field(TimeoutsSpec(), description="Time limits for the parts of a call.")
    cache: CacheSpec = Field(CacheSpec(), description="The cache of answers.")
    rate_limit: RateLimitSpec = Field(RateLimitSpec(), description="Limits on calls per second.")
    limits: LimitsSpec = Field(LimitsSpec(), description="Limits on calls in flight.")
    sessions: SessionsSpec = Field(SessionsSpec(), description="Sessions of clients of the legacy era.")
    catalog: CatalogSpec = Field(CatalogSpec(), description="Lists of tools, prompts and resources.")
    tools: dict[ToolName, ToolSpec] = Field(
        {}, max_length=256, description="Overrides by tool name, or by prefix with a `*`."
    )
    headers: HeadersSpec = Field(HeadersSpec(), description="Headers that pass besides those of the protocol.")
    auth: AuthSpec = Field(AuthSpec(), description="Authentication of clients, and of the gateway at the servers.")
    access: AccessSpec = Field(
        AccessSpec(), description="Access rules: which client may use which tool, resource or prompt."
    )
    audit: AuditSpec = Field(AuditSpec(), description="The audit log.")
    tracing: TracingSpec = Field(TracingSpec(), description="Traces, and durations by OpenTelemetry's conventions.")

    @model_validator(mode="after")
    def _rules_about_known_clients(self) -> PoolPolicy:
        kind = str(self.auth.inbound.type)
        known = KNOWN_CONDITIONS.get(kind, ())
        for name in ("allow", "deny"):
            for index, rule in enumerate(getattr(self.access, name)):
                for key in CLIENT_CONDITIONS:
                    if key not in known and getattr(rule, key):
                        raise contradiction(
                            "no client can match: {1} is {kind}, which tells nothing about the {key} of clients",
                            f"access.{name}.{index}.{key}", "auth.inbound.type", kind=kind, key=key,
                        )  # fmt: skip
        return self

    @model_validator(mode="after")
    def _tokens_to_exchange(self) -> Self:
        if self.auth.outbound.type == "token_exchange" and self.auth.inbound.type != "jwt":
            why = "is {kind}, and only clients that show a token have one to exchange: set {0} to jwt"
            raise contradiction(why, "auth.inbound.type", kind="token_exchange")
        return self

    @model_validator(mode="after")
    def _no_api_keys_to_servers(self) -> Self:
        """The servers must not get the keys that clients show to the gateway."""
        keys = self.auth.inbound.api_keys
        for name in self.headers.forward:
            if keys is not None and name.lower() == keys.header.lower():
                why = "{0} has {header}, the header with the API keys of clients ({1}): servers must not get them"
                raise contradiction(why, "headers.forward", "auth.inbound.api_keys.header", header=name)
        return self

    @model_validator(mode="after")
    def _one_source_for_a_header(self) -> Self:
        """A header of `auth.outbound` comes from there alone: not from a client, and not from `headers.send`."""
        for header, key in self.auth.outbound.headers:
            for place, names in (("forward", self.headers.forward), ("send", self.headers.send)):
                if any(name.lower() == header for name in names):
                    raise contradiction("{header} is set by {key} too", f"headers.{place}", header=header, key=key)
        return self


class PoolSpec(PoolPolicy):
    """All replicas of one MCP server, and their policy."""

    rules: ClassVar[tuple[Rule, ...]] = (*PoolPolicy.rules, Exclusive(("endpoints", "dns", "command")))

    name: PoolName = Field(description="Name of the pool: its path is /NAME/mcp, and its metrics have it as a label.")
    endpoints: tuple[EndpointSpec, ...] = Field(
        (), max_length=8192, description="The replicas: URLs, or tables with more keys."
    )
    dns: Url | None = Field(None, description="A URL. Every address of its host name is an endpoint.")
    command: tuple[Text, ...] = Field(
        (), max_length=256, description="A program that speaks MCP on standard input and output, with its arguments."
    )
    replicas: Integer | None = Field(None, ge=1, le=256, description="Number of processes of `command`. Default: 3.")
    env: dict[EnvironmentName, EnvironmentValue] = Field(
        {}, max_length=256, description="Environment variables for `command`."
    )
    env_from: tuple[EnvironmentPattern, ...] = Field(
        (),
        max_length=256,
        description="Variables of the gateway's environment that `command` gets: names, prefixes with a `*`, or `*` "
        "for all of them.",
    )
    local: LocalSpec = Field(LocalSpec(), description="Processes of `command`.")
    tls: UpstreamTlsSpec = Field(UpstreamTlsSpec(), description="TLS to `https` endpoints.")

    @model_validator(mode="after")
    def _no_endpoint_replaces_outbound(self) -> PoolSpec:
        for header, key in self.auth.outbound.headers:
            for index, endpoint in enumerate(self.endpoints):
                if any(name.lower() == header for name in endpoint.headers):
                    place = f"endpoints.{index}.headers"
                    raise contradiction("{header} is set by {key} too", place, header=header, key=key)
        return self

    @model_validator(mode="after")
    def _replicas_need_a_command(self) -> PoolSpec:
        if self.replicas is not None and not self.command:
            raise contradiction("{0} has no effect without command", "replicas")
        if (self.replicas or 1) > self.local.max_processes:
            raise contradiction(
                "{0} ({replicas}) must not exceed {1} ({most})", "replicas", "local.max_processes",
                replicas=str(self.replicas), most=str(self.local.max_processes),
            )  # fmt: skip
        for name in ("env", "env_from"):
            if getattr(self, name) and not self.command:
                raise contradiction("{0} has no effect without command", name)
        return self
