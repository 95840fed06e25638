"""`source`: the origin of the endpoints of a `McpServerPool`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from mcppool.spec.model import Member, Rule, Section
from mcppool.spec.pool import StaticEndpointSpec
from mcppool.spec.sections.labels import LabelKey, LabelValue
from mcppool.spec.sections.managed import ManagedSource
from mcppool.spec.shape import Kinded
from mcppool.spec.values import Flag, Hint, Integer

Path = Annotated[str, StringConstraints(pattern=r"^/[^\s?#]*$", max_length=1024), Hint("a path that begins with /")]
ServiceName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=63),
    Hint("the name of a Service, in the same namespace"),
]


def _port(value: object) -> object:
    if isinstance(value, str) and 1 <= len(value) <= 63:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
        return value
    raise PydanticCustomError("port", "is no port")


Port = Annotated[int | str, BeforeValidator(_port), Kinded("port")]
PortNumber = Annotated[Integer, Field(ge=1, le=65535)]


class ServiceSource(Section):
    """The EndpointSlices of a Service in the same namespace."""

    name: ServiceName = Field(description="Name of the Service.")
    port: Port = Field(description="Name or number of a port of the Service.")
    path: Path = Field("/mcp", description="Path of the MCP endpoint.")
    scheme: Literal["http", "https"] = Field("http", description="`HTTPS` for servers with TLS; see `tls`.")
    include_not_ready: Flag = Field(
        False, description="Use endpoints before their pods are ready; health checks still apply."
    )


class StaticSource(Section):
    """A fixed list of addresses."""

    endpoints: tuple[StaticEndpointSpec, ...] = Field(min_length=1, max_length=256, description="The replicas.")


class PodsSource(Section):
    """Pods that match a label selector."""

    selector: dict[LabelKey, LabelValue] = Field(min_length=1, max_length=16, description="Labels that the pods have.")
    port: PortNumber = Field(description="Port of the servers.")
    path: Path = Field("/mcp", description="Path of the MCP endpoint.")
    scheme: Literal["http", "https"] = Field("http", description="`HTTPS` for servers with TLS; see `tls`.")


class SourceSpec(Section):
    """Source of the endpoints: exactly one member, named by `type`."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Member("service", "service"),
        Member("static", "static"),
        Member("pods", "pods"),
        Member("managed", "managed"),
    )

    type: Literal["service", "static", "pods", "managed"] = Field(description="Name of the member that is set.")
    service: ServiceSource | None = Field(None, description="EndpointSlices of an existing Service.")
    static: StaticSource | None = Field(None, description="A list of URLs.")
    pods: PodsSource | None = Field(None, description="Pods by their labels.")
    managed: ManagedSource | None = Field(None, description="Servers that the operator runs.")
