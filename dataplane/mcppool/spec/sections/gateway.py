"""`gateway`: the Deployment that serves a `McpServerPool`."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from mcppool.spec.model import NotMore, Rule, Section
from mcppool.spec.shape import Kinded
from mcppool.spec.values import Duration, Flag, Hint, Integer, Text

QUANTITY_PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
_QUANTITY = re.compile(QUANTITY_PATTERN, re.ASCII)


def _quantity(value: object) -> object:
    if (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, str) and _QUANTITY.fullmatch(value)
    ):
        return value
    raise PydanticCustomError("quantity", "is not a quantity")


Quantity = Annotated[
    int | str, BeforeValidator(_quantity), Kinded("quantity"), Hint("a quantity such as 100m or 128Mi")
]
Labels = dict[Text, Annotated[str, Field(max_length=63)]]


class ResourcesSpec(Section):
    """corev1.ResourceRequirements of the gateway's container."""

    requests: dict[Text, Quantity] = Field({}, max_length=16, description="What is set aside.")
    limits: dict[Text, Quantity] = Field({}, max_length=16, description="The most it gets.")


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
    pod_template: Annotated[dict[str, Any], Kinded("anything"), Hint("a partial corev1.PodTemplateSpec")] = Field(
        {}, description="Partial corev1.PodTemplateSpec, merged over the generated one."
    )
    service_monitor: ServiceMonitorSpec = Field(
        ServiceMonitorSpec(), description="Scraping by the Prometheus operator."
    )
    autoscaling: AutoscalingSpec | None = Field(None, description="In place of `replicas`.")
    network_policy: NetworkPolicySpec = Field(NetworkPolicySpec(), description="Who may reach the gateways.")
