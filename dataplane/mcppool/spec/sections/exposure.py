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
        "cluster_ip", description="Who reaches it: the cluster, its nodes' addresses, or a load balancer's."
    )
    port: Annotated[Integer, Field(ge=1, le=65535)] = Field(8080, description="The port that clients connect to.")
    annotations: Annotations = Field({}, max_length=32, description="Annotations, such as those of a cloud.")


class ParentRefSpec(Section):
    """A Gateway of the Gateway API."""

    name: DnsName = Field(description="The Gateway.")
    namespace: DnsLabel | None = Field(None, description="Its namespace; none: the pool's.")
    section_name: DnsName | None = Field(None, description="One of its listeners; none: all that fit.")
    port: Annotated[Integer, Field(ge=1, le=65535)] | None = Field(None, description="One of its ports; none: all.")


class RouteSpec(Section):
    """A way to the gateways from outside the cluster, without a limit on how long a stream lasts."""

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
    hostnames: tuple[Hostname, ...] = Field(min_length=1, max_length=16, description="The names that clients call.")
    annotations: Annotations = Field(
        {}, max_length=32, description="Annotations; an Ingress controller's time-outs for streams are such."
    )
    parent_refs: tuple[ParentRefSpec, ...] = Field((), max_length=8, description="The Gateways, for HTTPRoute.")
    class_name: DnsName | None = Field(None, description="The class, for Ingress.")
    tls_secret_name: DnsName | None = Field(
        None, description="The Secret with the certificate of the host names, for Ingress; its controller reads it."
    )
