"""`gateway`: the Deployment that serves a `McpServerPool`."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from mcppool.spec.model import Check, Exclusive, NotMore, Rule, Section
from mcppool.spec.sections.exposure import RouteSpec, ServiceSpec
from mcppool.spec.sections.labels import LabelKey, LabelValue
from mcppool.spec.sections.pod_template import PodTemplateSpec
from mcppool.spec.sections.process import ListenerTlsSpec
from mcppool.spec.sections.resources import ResourcesSpec
from mcppool.spec.sections.scheduling import LabelSelectorSpec
from mcppool.spec.values import Duration, DurationRule, Flag, Integer, Text

Labels = dict[LabelKey, LabelValue]


class ServiceMonitorSpec(Section):
    """A ServiceMonitor for the gateways."""

    enabled: Flag = Field(False, description="Whether there is one; the Prometheus operator's API must exist.")
    labels: Labels = Field({}, max_length=16, description="Labels that a Prometheus selects it by.")
    interval: Duration = Field(30.0, description="Time between scrapes.")


class AutoscalingSpec(Section):
    """A HorizontalPodAutoscaler."""

    rules: ClassVar[tuple[Rule, ...]] = (NotMore("min_replicas", "max_replicas"),)

    min_replicas: Integer = Field(2, ge=1, le=1000, description="Fewest gateways.")
    max_replicas: Integer = Field(ge=1, le=1000, description="Most gateways.")
    target_cpu_percent: Integer = Field(
        70, ge=1, le=1000, description="CPU that a gateway should use of what it requests."
    )
    scale_down_stabilization: Annotated[float, DurationRule(minimum=0.0, maximum=3600.0)] = Field(
        300.0, description="How long fewer must have been enough before there are fewer."
    )


class PeerSpec(Section):
    """Pods, by their own labels and those of their namespaces; as in a NetworkPolicy."""

    corev1: ClassVar[str | None] = "NetworkPolicyPeer"
    rules: ClassVar[tuple[Rule, ...]] = (
        Check(
            "has(self.podSelector) || has(self.namespaceSelector)",
            "podSelector or namespaceSelector must be set",
            lambda model: model.pod_selector is not None or model.namespace_selector is not None,
            "pod_selector",
        ),
    )

    namespace_selector: LabelSelectorSpec | None = Field(None, description="Their namespaces; none: the pool's own.")
    pod_selector: LabelSelectorSpec | None = Field(None, description="The pods; none: all of them.")


class NetworkPolicySpec(Section):
    """A NetworkPolicy for the gateways: who may reach them. What they reach is not limited."""

    enabled: Flag = Field(False, description="Whether there is one.")
    clients: tuple[PeerSpec, ...] = Field((), max_length=16, description="Who may reach the MCP port; none: everyone.")
    scrapers: tuple[PeerSpec, ...] = Field(
        (), max_length=16, description="Who may reach the admin port, besides the operator: a Prometheus."
    )


class GatewaySpec(Section):
    """The gateways of one pool."""

    rules: ClassVar[tuple[Rule, ...]] = (Exclusive(("replicas", "autoscaling")),)

    replicas: Annotated[Integer, Field(ge=0, le=1000)] | None = Field(
        None,
        description="How many run; `kubectl scale` changes it. Default: two at first, then what others make of it.",
    )
    image: Text | None = Field(None, description="In place of the operator's choice.")
    allowed_hosts: tuple[Text, ...] = Field(
        (),
        max_length=64,
        description="Host names by which clients call the gateways, such as those of an Ingress, beside the names of "
        "their Service and addresses.",
    )
    service: ServiceSpec = Field(ServiceSpec(), description="Their Service.")
    tls: ListenerTlsSpec | None = Field(None, description="Serve HTTPS, with the keys of a Secret.")
    route: RouteSpec | None = Field(None, description="A way to them from outside the cluster.")
    resources: ResourcesSpec = Field(ResourcesSpec(), description="CPU and memory.")
    pod_template: PodTemplateSpec = Field(
        PodTemplateSpec(), description="What is laid over the gateways' pods: named fields of a corev1.PodTemplateSpec."
    )
    service_monitor: ServiceMonitorSpec = Field(
        ServiceMonitorSpec(), description="Scraping by the Prometheus operator."
    )
    autoscaling: AutoscalingSpec | None = Field(None, description="In place of `replicas`.")
    network_policy: NetworkPolicySpec = Field(NetworkPolicySpec(), description="Who may reach the gateways.")
