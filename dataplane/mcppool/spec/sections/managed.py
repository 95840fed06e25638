"""`source.managed`: servers that the operator runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

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
    ] = Field(description="Name of the variable.")
    value: Annotated[str, StringConstraints(max_length=4096)] | None = Field(None, description="Literal value.")
    secret_ref: SecretRefSpec | None = Field(None, description="Key of a Secret with the value.")


class ServerVolumeMountSpec(Section):
    """Mount of a volume in the server's container."""

    list_key: ClassVar[str | None] = "mount_path"

    name: DnsLabel = Field(description="Name of the volume.")
    mount_path: Annotated[str, StringConstraints(pattern=r"^/[^:\s]*$", max_length=255), Hint("an absolute path")] = (
        Field(description="Directory of the mount.")
    )
    read_only: Flag = Field(False, description="Mount the volume read-only.")


class ServerPodSpec(PlacementSpec):
    """Changes to the servers' pods."""

    refused: ClassVar[Mapping[str, Refused]] = {
        **PlacementSpec.refused,
        "containers": Refused("array", "`managed` describes the one container"),
    }


class ServerPodTemplateSpec(Section):
    """Changes to the servers' pods: named fields of a corev1.PodTemplateSpec."""

    metadata: PodMetadataSpec = Field(PodMetadataSpec(), description="Labels and annotations.")
    spec: ServerPodSpec = Field(ServerPodSpec(), description="Scheduling, users, volumes.")


class ServerAutoscalingSpec(AutoscalingSpec):
    """A HorizontalPodAutoscaler of the servers. With several targets, the one that needs most replicas decides."""

    min_replicas: Integer = Field(2, ge=1, le=1000, description="Minimum number of servers.")
    max_replicas: Integer = Field(ge=1, le=1000, description="Maximum number of servers.")
    target_cpu_percent: Integer = Field(
        70, ge=1, le=1000, description="Target for the CPU use of a server, in percent of its request."
    )
    target_calls_in_flight: Annotated[Integer, Field(ge=1, le=1_000_000)] | None = Field(
        None,
        description="Target for the calls in flight of a server, waiting ones included. Needs the external metric "
        "`mcppool_calls_in_flight`, which prometheus-adapter can serve.",
    )


class ManagedSource(Section):
    """Servers in a Deployment that the operator creates."""

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
        Check(
            "self.transport != 'HTTP' || has(self.port)",
            "port must be set, since transport is HTTP",
            lambda model: model.transport != "http" or model.port is not None,
            "port",
        ),
        Check(
            "self.transport != 'HTTP' || !has(self.maxProcesses)",
            "maxProcesses may be set only if transport is Stdio",
            lambda model: model.transport != "http" or model.max_processes is None,
            "max_processes",
        ),
        Check(
            "self.transport != 'Stdio' || (!has(self.port) && self.path == '/mcp')",
            "port and path may be set only if transport is HTTP",
            lambda model: model.transport != "stdio" or (model.port is None and model.path == "/mcp"),
            "port",
        ),
        Check(
            "self.transport != 'Stdio' || (has(self.command) && size(self.command) > 0)",
            "command must be set, since transport is Stdio: it is the program that speaks MCP on its standard streams, "
            "and Kubernetes does not tell the image's own",
            lambda model: model.transport != "stdio" or bool(model.command),
            "command",
        ),
        Check(
            "self.transport != 'Stdio' || !has(self.volumeMounts) || "
            "self.volumeMounts.all(mount, mount.mountPath != '/.mcppool' && !mount.mountPath.startsWith('/.mcppool/'))",
            "volumeMounts must not be at /.mcppool, where the adapter is",
            lambda model: (
                model.transport != "stdio"
                or not any(f"{mount.mount_path}/".startswith("/.mcppool/") for mount in model.volume_mounts)
            ),
            "volume_mounts",
        ),
    )

    image: Text = Field(description="Image of the server.")
    transport: Literal["http", "stdio"] = Field(
        "http",
        description="How the server speaks MCP: over HTTP, or on its standard streams. For standard streams the "
        "operator adds an adapter, which runs in the server's container.",
    )
    port: Annotated[Integer, Field(ge=1, le=65535)] | None = Field(
        None, description="Port of the server. Required for HTTP."
    )
    path: PathOfUrl = Field("/mcp", description="Path of the MCP endpoint, for HTTP.")
    max_processes: Annotated[Integer, Field(ge=1, le=10_000)] | None = Field(
        None, description="Maximum number of processes of `command` in each pod, for Stdio. Default: 64."
    )
    replicas: Annotated[Integer, Field(ge=0, le=1000)] | None = Field(
        None, description="Number of servers. Default: one at first; others may scale them later."
    )
    autoscaling: ServerAutoscalingSpec | None = Field(None, description="Scale the servers. Excludes `replicas`.")
    command: tuple[Text, ...] = Field(
        (), max_length=64, description="Replaces the image's entry point. Required for Stdio."
    )
    args: tuple[Text, ...] = Field((), max_length=64, description="Replaces the image's command.")
    env: tuple[ServerEnvSpec, ...] = Field((), max_length=64, description="Environment variables of the server.")
    resources: ResourcesSpec = Field(ResourcesSpec(), description="CPU and memory of a server.")
    volume_mounts: tuple[ServerVolumeMountSpec, ...] = Field((), max_length=16, description="Mounts of volumes.")
    pod_template: ServerPodTemplateSpec = Field(
        ServerPodTemplateSpec(), description="Changes to the servers' pods: named fields of a corev1.PodTemplateSpec."
    )
