"""`gateway`: the Deployment that serves a `McpServerPool`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mcppool.spec.model import NotMore, Rule, Section
from mcppool.spec.sections.labels import LabelKey, LabelValue
from mcppool.spec.sections.pod_template import PodTemplateSpec
from mcppool.spec.sections.resources import ResourcesSpec
from mcppool.spec.values import Duration, Flag, Integer, Text

Labels = dict[LabelKey, LabelValue]


class ServiceMonitorSpec(Section):
    """A ServiceMonitor for the gateways."""

    enabled: Flag = Field(False, description="Whether there is one; the Prometheus operator's API must exist.")
    labels: Labels = Field({}, max_length=16, description="Labels that a Prometheus selects it by.")
    interval: Duration = Field(30.0, description="Time between scrapes.")


class AutoscalingSpec(Section):
    """A HorizontalPodAutoscaler for the gateways."""

    rules: ClassVar[tuple[Rule, ...]] = (NotMore("min_replicas", "max_replicas"),)

    min_replicas: Integer = Field(2, ge=1, le=1000, description="Fewest gateways.")
    max_replicas: Integer = Field(ge=1, le=1000, description="Most gateways.")
    target_cpu_percent: Integer = Field(
        70, ge=1, le=1000, description="CPU that a gateway should use of what it requests."
    )


class NetworkPolicySpec(Section):
    """A NetworkPolicy for the gateways."""

    enabled: Flag = Field(False, description="Whether there is one.")


class GatewaySpec(Section):
    """The gateways of one pool."""

    replicas: Integer = Field(2, ge=0, le=1000, description="How many run; `kubectl scale` changes it.")
    image: Text | None = Field(None, description="In place of the operator's choice.")
    resources: ResourcesSpec = Field(ResourcesSpec(), description="CPU and memory.")
    pod_template: PodTemplateSpec = Field(
        PodTemplateSpec(), description="What is laid over the gateways' pods: named fields of a corev1.PodTemplateSpec."
    )
    service_monitor: ServiceMonitorSpec = Field(
        ServiceMonitorSpec(), description="Scraping by the Prometheus operator."
    )
    autoscaling: AutoscalingSpec | None = Field(None, description="In place of `replicas`.")
    network_policy: NetworkPolicySpec = Field(NetworkPolicySpec(), description="Who may reach the gateways.")
