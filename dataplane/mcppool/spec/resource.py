"""The `McpServerPool` resource: the sections of a file in camel case, and the sections that exist only in a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import Field

from mcppool.spec.model import Check, Needs, Rule, Section
from mcppool.spec.naming import RESOURCE
from mcppool.spec.pool import PoolPolicy, PoolSpec
from mcppool.spec.problems import ConfigError, Problem
from mcppool.spec.reading import Finding, Reader
from mcppool.spec.sections.auth import UpstreamTlsSpec
from mcppool.spec.sections.cache import CacheSpec, RedisServerUrl, SqlServerUrl
from mcppool.spec.sections.gateway import GatewaySpec
from mcppool.spec.sections.inbound import InboundAuthSpec, InboundType
from mcppool.spec.sections.labels import DnsLabel
from mcppool.spec.sections.outbound import OutboundAuthSpec
from mcppool.spec.sections.protection import LimitsSpec, MemoryLimitsSpec, ProcessLimitsSpec
from mcppool.spec.sections.source import SourceSpec
from mcppool.spec.shape import Shape, fields_of
from mcppool.spec.values import Flag
from mcppool.spec.withholding import withhold

GROUP: Final = "mcppool.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "McpServerPool"
PLURAL: Final = "mcpserverpools"


class ResourceInboundAuthSpec(InboundAuthSpec):
    """Authentication of clients. It is required, because every pod of a cluster can reach the Service."""

    type: InboundType = Field(description="How clients authenticate. There is no default; `None` accepts every client.")


class ResourceAuthSpec(Section):
    """Authentication in both directions."""

    inbound: ResourceInboundAuthSpec = Field(description="Authentication of clients.")
    outbound: OutboundAuthSpec = Field(OutboundAuthSpec(), description="How the gateway authenticates to the servers.")


class ResourceCacheSpec(CacheSpec):
    """Where the gateway keeps answers, how many, and for how long."""

    rules: ClassVar[tuple[Rule, ...]] = (*CacheSpec.rules, Needs("sql", "sql_url"))

    redis_url: RedisServerUrl | None = Field(None, description="Address of Redis, for every section that uses it.")
    sql_url: SqlServerUrl | None = Field(None, description="The PostgreSQL database of the cache.")


class ResourceSpec(PoolPolicy):
    """`spec` of a McpServerPool."""

    rules: ClassVar[tuple[Rule, ...]] = (
        *PoolPolicy.rules,
        Check(
            "!(self.auth.inbound.type in ['JWT', 'Introspection']) || has(self.auth.inbound.resource) || "
            "(has(self.gateway) && has(self.gateway.externalURL))",
            "tokens need gateway.externalURL, because they are issued for the URL that clients use",
            lambda spec: (
                spec.auth.inbound.type not in ("jwt", "introspection")
                or spec.auth.inbound.resource is not None
                or spec.gateway.external_url is not None
            ),
            "gateway.external_url",
        ),
        Check(
            "self.auth.inbound.type != 'Mtls' || (has(self.gateway) && has(self.gateway.tls) && "
            "has(self.gateway.tls.clientCaSecretRef))",
            "auth.inbound.type Mtls needs gateway.tls.clientCaSecretRef, the authorities of the clients' certificates",
            lambda spec: (
                spec.auth.inbound.type != "mtls"
                or (spec.gateway.tls is not None and spec.gateway.tls.client_ca_file is not None)
            ),
            "auth.inbound.type",
        ),
    )

    source: SourceSpec = Field(description="Source of the endpoints.")
    auth: ResourceAuthSpec = Field(  # type: ignore[assignment]
        description="Authentication of clients, and of the gateway at the servers."
    )
    limits: ProcessLimitsSpec = Field(
        ProcessLimitsSpec(), description="Limits on calls in flight, and on the memory of each gateway."
    )
    cache: ResourceCacheSpec = Field(ResourceCacheSpec(), description="The cache of answers.")
    tls: UpstreamTlsSpec = Field(UpstreamTlsSpec(), description="TLS to `https` endpoints.")
    gateway: GatewaySpec = Field(GatewaySpec(), description="The Deployment that serves the pool.")
    operator_class: DnsLabel | None = Field(
        None, description="Class of the operators that manage the pool, in a cluster with several."
    )
    suspend: Flag = Field(
        False, description="Stop reconciling; running gateways keep serving their last configuration."
    )


class Resource(NamedTuple):
    """A parsed McpServerPool. `pool` has endpoints if the source is static; otherwise the operator resolves them."""

    pool: PoolSpec
    gateway: GatewaySpec
    source: SourceSpec
    suspend: bool
    name: str
    namespace: str
    generation: int
    limits: MemoryLimitsSpec = MemoryLimitsSpec()


def read_resource(obj: Mapping[str, Any]) -> Resource:
    """Parse a McpServerPool from the API server. ConfigError lists every mistake."""
    metadata = obj.get("metadata") or {}
    name, namespace = str(metadata.get("name", "")), str(metadata.get("namespace", ""))
    source = f"{namespace}/{name}" if namespace else name or KIND
    raw = obj.get("spec")
    if not isinstance(raw, Mapping):
        raise ConfigError(
            [Problem("spec", "is missing" if raw is None else "is not an object", raw, "an object", source=source)]
        )
    reader = Reader(ResourceSpec, RESOURCE)
    data = reader.conform(raw)
    withheld = withhold(Shape("section", model=ResourceSpec), data, RESOURCE)
    spec = reader.validate(data)
    for finding in withheld:
        reader.drop(finding.place)
    findings = [*withheld, *reader.findings]
    problems = [finding.at(ResourceSpec, RESOURCE, source, prefix="spec") for finding in findings]
    pool: PoolSpec | None = None
    if spec is not None and not findings:
        pools = Reader(PoolSpec, RESOURCE)
        pool = pools.validate(_pool_values(name, spec))
        problems += [_pool_problem(finding, source) for finding in pools.findings]
    if spec is None or pool is None or problems:
        raise ConfigError(problems)
    generation, limits = int(metadata.get("generation", 0)), MemoryLimitsSpec(memory=spec.limits.memory)
    return Resource(pool, spec.gateway, spec.source, spec.suspend, name, namespace, generation, limits)


def _pool_values(name: str, spec: ResourceSpec) -> dict[str, Any]:
    written = spec.written()
    values = {key: written[key] for key in (*fields_of(PoolPolicy), "tls")}
    values["limits"] = {key: written["limits"][key] for key in fields_of(LimitsSpec)}
    if spec.source.static is not None:
        values["endpoints"] = tuple(written["source"]["static"]["endpoints"])
    return {**values, "name": name}


def _pool_problem(finding: Finding, source: str) -> Problem:
    if finding.place[:1] == ("name",):
        return finding.at(PoolSpec, RESOURCE, source, prefix="metadata")
    prefix = "spec.source.static" if finding.place[:1] == ("endpoints",) else "spec"
    return finding.at(PoolSpec, RESOURCE, source, prefix=prefix)
