"""`gateway.podTemplate`: the fields of the gateways' pods that a pool's author may set.

Named fields, and no others: the right to create pools gives no further rights. A pool cannot choose an account, an
image, a container or a command, and cannot reach the node or the data of others. Other fields of Kubernetes are
refused by name, because the API server would drop them silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, StringConstraints

from mcppool.spec.model import OneOf, Refers, Refused, Reserved, Rule, Section
from mcppool.spec.sections.labels import DnsLabel, DnsName, LabelKey, LabelValue
from mcppool.spec.sections.quantity import Quantity
from mcppool.spec.sections.resources import ResourcesSpec
from mcppool.spec.sections.scheduling import AffinitySpec, TolerationSpec, TopologySpreadSpec
from mcppool.spec.values import Flag, Hint, Integer

Id = Annotated[Integer, Field(ge=1, le=2147483647)]

OPERATORS: Final = "the operator sets it"
NODE: Final = "gateways have no access to their node"
OTHERS: Final = "it could hold the data of others"
OPERATORS_VOLUMES: Final = ("config", "keys", "api-access", "secrets", "mcppool-tmp")
VOLUME_KINDS: Final = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "configMap",
    "csi",
    "ephemeral",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "hostPath",
    "image",
    "iscsi",
    "nfs",
    "persistentVolumeClaim",
    "photonPersistentDisk",
    "portworxVolume",
    "projected",
    "quobyte",
    "rbd",
    "scaleIO",
    "secret",
    "storageos",
    "vsphereVolume",
]


class PodMetadataSpec(Section):
    """Labels and annotations of the gateways' pods."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Reserved("labels", ("app.kubernetes.io/", "mcppool.dev/"), OPERATORS),
        Reserved(
            "annotations",
            ("mcppool.dev/", "container.apparmor.security.beta.kubernetes.io/", "container.seccomp.security"),
            OPERATORS,
        ),
    )

    labels: dict[LabelKey, LabelValue] = Field({}, max_length=32, description="Labels besides the operator's.")
    annotations: dict[LabelKey, Annotated[str, Field(max_length=4096)]] = Field(
        {}, max_length=32, description="Annotations, such as those for a mesh or a scraper."
    )


class SeccompProfileSpec(Section):
    """The seccomp profile."""

    type: Literal["runtime_default"] = Field("runtime_default", description="The container runtime's default profile.")


class PodSecurityContextSpec(Section):
    """Users and groups of the processes, within the Pod Security Standard *restricted*."""

    refused: ClassVar = {
        "runAsNonRoot": Refused("boolean", "gateways never run as root"),
        "seLinuxOptions": Refused("object", NODE),
        "sysctls": Refused("array", NODE),
        "windowsOptions": Refused("object", NODE),
        "appArmorProfile": Refused("object", NODE),
    }

    run_as_user: Id | None = Field(None, description="User of the processes; never root.")
    run_as_group: Id | None = Field(None, description="Primary group of the processes.")
    fs_group: Id | None = Field(None, description="Group of the files in volumes.")
    supplemental_groups: tuple[Id, ...] = Field((), max_length=16, description="Further groups of the processes.")
    fs_group_change_policy: Literal["on_root_mismatch", "always"] | None = Field(
        None, description="When Kubernetes changes the group of a volume's files."
    )
    seccomp_profile: SeccompProfileSpec = Field(SeccompProfileSpec(), description="The seccomp profile.")


class EmptyDirSpec(Section):
    """An empty directory that lives as long as the pod."""

    medium: Literal["memory"] | None = Field(None, description="Keep it in memory instead of on the node's disk.")
    size_limit: Quantity | None = Field(None, description="Maximum size.")


class FieldRefSpec(Section):
    """A field of the pod."""

    field_path: Annotated[
        str,
        StringConstraints(pattern=r"^metadata\.(name|namespace|uid|labels|annotations)(\['[^']{1,316}'\])?$"),
        Field(max_length=340),
        Hint("metadata.name, .namespace, .uid, .labels or .annotations, or one of the last two by its key"),
    ] = Field(description="Path of the field.")


class DownwardItemSpec(Section):
    """One file with a field of the pod."""

    path: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9_-][-A-Za-z0-9_.]*(/[A-Za-z0-9_-][-A-Za-z0-9_.]*)*$", max_length=255),
        Hint("a relative path"),
    ] = Field(description="Path of the file below the mount.")
    field_ref: FieldRefSpec = Field(description="Content of the file.")


class DownwardApiSpec(Section):
    """Files with fields of the pod's metadata."""

    items: tuple[DownwardItemSpec, ...] = Field((), max_length=16, description="The files.")


class VolumeSpec(Section):
    """A volume of a kind that holds only the pod's own data."""

    list_key: ClassVar[str | None] = "name"
    rules: ClassVar[tuple[Rule, ...]] = (
        OneOf(("empty_dir", "downward_api")),
        Reserved(
            "name",
            (),
            "the operator has a volume of that name",
            OPERATORS_VOLUMES,
        ),
    )
    refused: ClassVar = {kind: Refused("object", OTHERS) for kind in VOLUME_KINDS}

    name: DnsLabel = Field(description="Name of the volume.")
    empty_dir: EmptyDirSpec | None = Field(None, description="An empty directory.")
    downward_api: DownwardApiSpec | None = Field(None, description="Files with fields of the pod's metadata.")


class EnvSpec(Section):
    """An environment variable with a literal value."""

    list_key: ClassVar[str | None] = "name"
    rules: ClassVar[tuple[Rule, ...]] = (
        Reserved(
            "name",
            ("KUBERNETES_", "LD_", "PYTHON", "MCPPOOL_", "OPENSSL_"),
            "it would change the program, or the certificates that it trusts",
            ("PATH",),
        ),
    )
    refused: ClassVar = {"valueFrom": Refused("object", "only literal values are allowed")}

    name: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128),
        Hint("a variable's name: letters, digits and _"),
    ] = Field(description="Name of the variable.")
    value: Annotated[str, StringConstraints(max_length=4096)] = Field("", description="Literal value.")


class VolumeMountSpec(Section):
    """Mount of a volume."""

    list_key: ClassVar[str | None] = "mount_path"
    refused: ClassVar = {
        "subPath": Refused("string", "a whole volume is mounted"),
        "subPathExpr": Refused("string", "a whole volume is mounted"),
        "mountPropagation": Refused("string", NODE),
        "recursiveReadOnly": Refused("string", NODE),
    }

    name: DnsLabel = Field(description="Name of the volume to mount.")
    mount_path: Annotated[
        str,
        StringConstraints(
            pattern=r"^/(mnt|data|tmp|var/tmp|var/cache)(/[A-Za-z0-9_-][-A-Za-z0-9_.]*)*$", max_length=255
        ),
        Hint("a path that is, or is below, /mnt, /data, /tmp, /var/tmp or /var/cache"),
    ] = Field(description="Directory of the mount, outside the gateway's program and configuration.")
    read_only: Flag = Field(False, description="Mount the volume read-only.")


class ContainerSpec(Section):
    """Additions to the gateway's container."""

    list_key: ClassVar[str | None] = "name"
    refused: ClassVar = {
        "image": Refused("string", "`gateway.image` names it"),
        "imagePullPolicy": Refused("string", OPERATORS),
        "command": Refused("strings", OPERATORS),
        "args": Refused("strings", OPERATORS),
        "workingDir": Refused("string", OPERATORS),
        "ports": Refused("array", OPERATORS),
        "envFrom": Refused("array", "only literal values are allowed"),
        "volumeDevices": Refused("array", NODE),
        "securityContext": Refused("object", "it is the strictest already"),
        "livenessProbe": Refused("object", OPERATORS),
        "readinessProbe": Refused("object", OPERATORS),
        "startupProbe": Refused("object", OPERATORS),
        "lifecycle": Refused("object", OPERATORS),
        "resizePolicy": Refused("array", OPERATORS),
        "restartPolicy": Refused("string", OPERATORS),
        "stdin": Refused("boolean", OPERATORS),
        "tty": Refused("boolean", OPERATORS),
        "terminationMessagePath": Refused("string", OPERATORS),
    }

    name: Annotated[str, StringConstraints(pattern="^gateway$", max_length=7), Hint("gateway")] = Field(
        description="Name of the gateway's container, the only one."
    )
    env: tuple[EnvSpec, ...] = Field((), max_length=64, description="Variables with literal values.")
    resources: ResourcesSpec | None = Field(None, description="CPU and memory. Overrides `gateway.resources`.")
    volume_mounts: tuple[VolumeMountSpec, ...] = Field((), max_length=16, description="Mounts of volumes.")


class PlacementSpec(Section):
    """Scheduling, users and volumes of pods."""

    refused: ClassVar[Mapping[str, Refused]] = {
        "serviceAccountName": Refused("string", "gateways have their own account, servers have none"),
        "serviceAccount": Refused("string", "gateways have their own account, servers have none"),
        "automountServiceAccountToken": Refused("boolean", OPERATORS),
        "imagePullSecrets": Refused("array", OPERATORS),
        "initContainers": Refused("array", "a pod has only one container"),
        "ephemeralContainers": Refused("array", "a pod has only one container"),
        "hostNetwork": Refused("boolean", NODE),
        "hostPID": Refused("boolean", NODE),
        "hostIPC": Refused("boolean", NODE),
        "hostUsers": Refused("boolean", NODE),
        "shareProcessNamespace": Refused("boolean", OPERATORS),
        "nodeName": Refused("string", "`nodeSelector` and `affinity` choose nodes"),
        "hostAliases": Refused("array", OPERATORS),
        "hostname": Refused("string", OPERATORS),
        "subdomain": Refused("string", OPERATORS),
        "dnsConfig": Refused("object", OPERATORS),
        "dnsPolicy": Refused("string", OPERATORS),
        "restartPolicy": Refused("string", OPERATORS),
        "activeDeadlineSeconds": Refused("integer", OPERATORS),
        "runtimeClassName": Refused("string", OPERATORS),
        "schedulerName": Refused("string", OPERATORS),
        "enableServiceLinks": Refused("boolean", OPERATORS),
        "resourceClaims": Refused("array", NODE),
        "overhead": Refused("object", NODE),
        "readinessGates": Refused("array", OPERATORS),
        "os": Refused("object", OPERATORS),
    }

    node_selector: dict[LabelKey, LabelValue] = Field({}, max_length=16, description="Labels that a node must have.")
    affinity: AffinitySpec | None = Field(None, description="Nodes and neighbouring pods.")
    tolerations: tuple[TolerationSpec, ...] = Field(
        (), max_length=16, description="Taints of nodes that the pods tolerate."
    )
    topology_spread_constraints: tuple[TopologySpreadSpec, ...] | None = Field(
        None,
        max_length=8,
        description="How pods are spread. Default: evenly over nodes and zones, if possible.",
    )
    priority_class_name: DnsName | None = Field(None, description="Priority class of the pods.")
    termination_grace_period_seconds: Annotated[Integer, Field(ge=1, le=86400)] | None = Field(
        None, description="Time between SIGTERM and SIGKILL. Default: `timeouts.drain` plus ten seconds."
    )
    security_context: PodSecurityContextSpec = Field(
        PodSecurityContextSpec(), description="Users and groups, within *restricted*."
    )
    volumes: tuple[VolumeSpec, ...] = Field((), max_length=16, description="Volumes with the pod's own data.")


class GatewayPodSpec(PlacementSpec):
    """Changes to the gateways' pods."""

    rules: ClassVar[tuple[Rule, ...]] = (Refers(("containers", "volume_mounts", "name"), ("volumes", "name")),)

    containers: tuple[ContainerSpec, ...] = Field((), max_length=1, description="Additions to the gateway's container.")


class PodTemplateSpec(Section):
    """Changes to the gateways' pods: named fields of a corev1.PodTemplateSpec."""

    metadata: PodMetadataSpec = Field(PodMetadataSpec(), description="Labels and annotations.")
    spec: GatewayPodSpec = Field(GatewayPodSpec(), description="Scheduling, users, volumes, environment.")
