"""How clients reach the gateways: their Service, TLS, and a route from outside the cluster."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from mcppool.spec.model import Check, Rule, Section
from mcppool.spec.sections.labels import DnsLabel, DnsName, LabelKey
from mcppool.spec.values import Hint, Integer

Annotations = dict[LabelKey, Annotated[str, Field(max_length=4096)]]
Hostname = Annotated[
    str,
    StringConstraints(pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253),
    Hint("a host name such as mcp.example.com"),
]


class ServiceSpec(Section):
    """The Service of the gateways."""

    type: Literal["cluster_ip", "node_port", "load_balancer"] = Field(
        "cluster_ip",
        description="Reachable within the cluster, at its nodes' addresses, or at a load balancer's address.",
    )
    port: Annotated[Integer, Field(ge=1, le=65535)] = Field(8080, description="Port for clients.")
    annotations: Annotations = Field({}, max_length=32, description="Annotations, such as a cloud provider's.")


class ParentRefSpec(Section):
    """A Gateway of the Gateway API."""

    name: DnsName = Field(description="Name of the Gateway.")
    namespace: DnsLabel | None = Field(None, description="Namespace of the Gateway. Default: the pool's.")
    section_name: DnsName | None = Field(None, description="A listener of the Gateway. Default: all that match.")
    port: Annotated[Integer, Field(ge=1, le=65535)] | None = Field(
        None, description="A port of the Gateway. Default: all."
    )


class RouteSpec(Section):
    """A route to the gateways from outside the cluster, without a time-out for streams."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Check(
            "self.type == 'HTTPRoute' ? has(self.parentRefs) && self.parentRefs.size() > 0 && !has(self.className) "
            "&& !has(self.tlsSecretName) : !has(self.parentRefs) || self.parentRefs.size() == 0",
            "parentRefs belong to type HTTPRoute, className and tlsSecretName to type Ingress",
            lambda model: (
                bool(model.parent_refs) and model.class_name is None and model.tls_secret_name is None
                if model.type == "http_route"
                else not model.parent_refs
            ),
            "type",
        ),
    )

    type: Literal["http_route", "ingress"] = Field(description="An HTTPRoute of the Gateway API, or an Ingress.")
    hostnames: tuple[Hostname, ...] = Field(min_length=1, max_length=16, description="Host names for clients.")
    annotations: Annotations = Field(
        {}, max_length=32, description="Annotations, such as an Ingress controller's time-outs for streams."
    )
    parent_refs: tuple[ParentRefSpec, ...] = Field((), max_length=8, description="The Gateways, for type HTTPRoute.")
    class_name: DnsName | None = Field(None, description="The class, for type Ingress.")
    tls_secret_name: DnsName | None = Field(
        None, description="Secret with the certificate of the host names, for type Ingress; its controller reads it."
    )
