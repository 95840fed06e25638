"""`source.managed`: servers that the operator runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from mcppool.spec.model import Check, Exclusive, OneOf, Refused, Rule, Section
from mcppool.spec.sections.gateway import AutoscalingSpec
from mcppool.spec.sections.labels import DnsLabel
from mcppool.spec.sections.pod_template import PlacementSpec, PodMetadataSpec
from mcppool.spec.sections.resources import ResourcesSpec
from mcppool.spec.sections.secret_ref import SecretRefSpec
from mcppool.spec.values import Flag, Hint, Integer, Text

PathOfUrl = Annotated[
    str, StringConstraints(pattern=r"^/[^\s?#]*$", max_length=1024), Hint("a path that begins with /")
]


class ServerEnvSpec(Section):
    """An environment variable of the server: a literal value, or a key of a Secret."""

    list_key: ClassVar[str | None] = "name"
    rules: ClassVar[tuple[Rule, ...]] = (OneOf(("value", "secret_ref")),)
    refused: ClassVar[Mapping[str, Refused]] = {
        "valueFrom": Refused("object", "`secretRef` names a key of a Secret"),
    }

    name: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128),
        Hint("a variable's name: letters, digits and _"),
    ] = Field(description="The variable.")
    value: Annotated[str, StringConstraints(max_length=4096)] | None = Field(None, description="Its value, as it is.")
    secret_ref: SecretRefSpec | None = Field(None, description="The key of a Secret that holds its value.")


class ServerVolumeMountSpec(Section):
    """Where a volume is seen by the server."""

    list_key: ClassVar[str | None] = "mount_path"

    name: DnsLabel = Field(description="The volume.")
    mount_path: Annotated[str, StringConstraints(pattern=r"^/[^:\s]*$", max_length=255), Hint("an absolute path")] = (
        Field(description="The directory.")
    )
    read_only: Flag = Field(False, description="Whether it can only be read.")


class ServerPodSpec(PlacementSpec):
    """What is laid over the servers' pods."""

    refused: ClassVar[Mapping[str, Refused]] = {
        **PlacementSpec.refused,
        "containers": Refused("array", "`managed` describes the one container"),
    }


class ServerPodTemplateSpec(Section):
    """What is laid over the pods of the servers: the named fields of a corev1.PodTemplateSpec."""

    metadata: PodMetadataSpec = Field(PodMetadataSpec(), description="Labels and annotations.")
    spec: ServerPodSpec = Field(ServerPodSpec(), description="Scheduling, users, volumes.")


class ManagedSource(Section):
    """A Deployment of the server that the operator owns."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Exclusive(("replicas", "autoscaling")),
        Check(
            "!has(self.volumeMounts) || self.volumeMounts.all(mount, has(self.podTemplate) && "
            "has(self.podTemplate.spec) && has(self.podTemplate.spec.volumes) && "
            "self.podTemplate.spec.volumes.exists(volume, volume.name == mount.name))",
            "each of volumeMounts must be one of podTemplate.spec.volumes",
            lambda model: (
                {mount.name for mount in model.volume_mounts}
                <= {volume.name for volume in model.pod_template.spec.volumes}
            ),
            "volume_mounts",
        ),
    )

    image: Text = Field(description="The server's image, of a server that speaks MCP over HTTP.")
    port: Annotated[Integer, Field(ge=1, le=65535)] = Field(description="Where it listens.")
    path: PathOfUrl = Field("/mcp", description="Where it speaks MCP.")
    replicas: Annotated[Integer, Field(ge=0, le=1000)] | None = Field(
        None, description="How many run. Default: one at first, then what others make of it."
    )
    autoscaling: AutoscalingSpec | None = Field(None, description="In place of `replicas`.")
    command: tuple[Text, ...] = Field((), max_length=64, description="In place of the image's entry point.")
    args: tuple[Text, ...] = Field((), max_length=64, description="In place of the image's command.")
    env: tuple[ServerEnvSpec, ...] = Field((), max_length=64, description="Its environment.")
    resources: ResourcesSpec = Field(ResourcesSpec(), description="CPU and memory.")
    volume_mounts: tuple[ServerVolumeMountSpec, ...] = Field((), max_length=16, description="Where volumes are seen.")
    pod_template: ServerPodTemplateSpec = Field(
        ServerPodTemplateSpec(), description="What is laid over its pods: named fields of a corev1.PodTemplateSpec."
    )
