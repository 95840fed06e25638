"""`gateway`: the Deployment that serves a `McpServerPool`."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from mcppool.spec.model import Check, Exclusive, NotMore, Rule, Section
from mcppool.spec.sections.exposure import RouteSpec, ServiceSpec
from mcppool.spec.sections.labels import LabelKey, LabelValue
from mcppool.spec.sections.pod_template import PodTemplateSpec
from mcppool.spec.sections.process import ExternalUrl, ListenerTlsSpec
from mcppool.spec.sections.resources import ResourcesSpec
from mcppool.spec.sections.scheduling import LabelSelectorSpec
from mcppool.spec.values import Duration, DurationRule, Flag, Integer, Text

Labels = dict[LabelKey, LabelValue]


class ServiceMonitorSpec(Section):
    """A ServiceMonitor for the gateways."""

    enabled: Flag = Field(False, description="Make one. Needs the API of the Prometheus operator.")
    labels: Labels = Field({}, max_length=16, description="Labels for the selector of a Prometheus.")
    interval: Duration = Field(30.0, description="Time between scrapes.")


class AutoscalingSpec(Section):
    """A HorizontalPodAutoscaler."""

    rules: ClassVar[tuple[Rule, ...]] = (NotMore("min_replicas", "max_replicas"),)

    min_replicas: Integer = Field(2, ge=1, le=1000, description="Minimum number of gateways.")
    max_replicas: Integer = Field(ge=1, le=1000, description="Maximum number of gateways.")
    target_cpu_percent: Integer = Field(
        70, ge=1, le=1000, description="Target for the CPU use of a gateway, in percent of its request."
    )
    scale_down_stabilization: Annotated[float, DurationRule(minimum=0.0, maximum=3600.0)] = Field(
        300.0, description="How long a smaller number must suffice before the autoscaler scales down."
    )


class PeerSpec(Section):
    """Pods, by their labels and the labels of their namespaces, as in a NetworkPolicy."""

    corev1: ClassVar[str | None] = "NetworkPolicyPeer"
    rules: ClassVar[tuple[Rule, ...]] = (
        Check(
            "has(self.podSelector) || has(self.namespaceSelector)",
            "podSelector or namespaceSelector must be set",
            lambda model: model.pod_selector is not None or model.namespace_selector is not None,
            "pod_selector",
        ),
    )

    namespace_selector: LabelSelectorSpec | None = Field(None, description="Their namespaces. Default: the pool's.")
    pod_selector: LabelSelectorSpec | None = Field(None, description="The pods. Default: all pods.")


class NetworkPolicySpec(Section):
    """A NetworkPolicy for connections to the gateways. It does not limit connections from them."""

    enabled: Flag = Field(False, description="Make one.")
    clients: tuple[PeerSpec, ...] = Field(
        (), max_length=16, description="Pods that may connect to the MCP port. Default: all."
    )
    scrapers: tuple[PeerSpec, ...] = Field(
        (),
        max_length=16,
        description="Pods that may connect to the admin port, such as Prometheus. The operator and the gateways always "
        "may.",
    )


class SealingKeysSpec(Section):
    """The keys that seal session ids."""

    rotate_every: Annotated[float, DurationRule(minimum=60.0, maximum=8784 * 3600.0)] | None = Field(
        None,
        description="Time between two rotations of the keys: gateways seal with a new key, and earlier ones open their "
        "ids until these expire. At most two keys of rotations exist at a time, so a rotation also waits for that. "
        "Default: the keys change only on request.",
    )


class GatewaySpec(Section):
    """The gateways of one pool."""

    rules: ClassVar[tuple[Rule, ...]] = (Exclusive(("replicas", "autoscaling")),)

    replicas: Annotated[Integer, Field(ge=0, le=1000)] | None = Field(
        None,
        description="Number of gateways; `kubectl scale` changes it. Default: two at first; others may scale later.",
    )
    image: Text | None = Field(None, description="Image of the gateways. Default: the operator's choice.")
    allowed_hosts: tuple[Text, ...] = Field(
        (),
        max_length=64,
        description="Host names that clients use, such as those of an Ingress, besides the names and addresses of the "
        "Service.",
    )
    external_url: ExternalUrl | None = Field(
        None,
        description="URL under which clients reach the gateways, such as `https://mcp.example.com`, without the path "
        "of the pool.",
    )
    service: ServiceSpec = Field(ServiceSpec(), description="The Service of the gateways.")
    tls: ListenerTlsSpec | None = Field(None, description="Serve HTTPS, with the keys of a Secret.")
    route: RouteSpec | None = Field(None, description="A route to the gateways from outside the cluster.")
    resources: ResourcesSpec = Field(ResourcesSpec(), description="CPU and memory of a gateway.")
    pod_template: PodTemplateSpec = Field(
        PodTemplateSpec(), description="Changes to the gateways' pods: named fields of a corev1.PodTemplateSpec."
    )
    service_monitor: ServiceMonitorSpec = Field(
        ServiceMonitorSpec(), description="Scraping by the Prometheus operator."
    )
    sealing_keys: SealingKeysSpec = Field(SealingKeysSpec(), description="The keys that seal session ids.")
    autoscaling: AutoscalingSpec | None = Field(None, description="Scale the gateways on CPU. Excludes `replicas`.")
    network_policy: NetworkPolicySpec = Field(NetworkPolicySpec(), description="Pods that may connect to the gateways.")
