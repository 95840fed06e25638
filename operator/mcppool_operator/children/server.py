"""Managed servers: their Deployment, and the objects that find, scale and protect its pods."""

from __future__ import annotations

import math
from typing import Any, Final

from mcppool.spec.resource import Resource
from mcppool.spec.sections.managed import ManagedSource, ServerEnvSpec
from mcppool_operator.children import ADMIN_PORT, Owner, adapter
from mcppool_operator.children.autoscaler import server_autoscaler_spec
from mcppool_operator.children.deployment import GatewayImage
from mcppool_operator.children.kubernetes import kubernetes_object
from mcppool_operator.children.pod import metadata, placed
from mcppool_operator.children.resources import requirements
from mcppool_operator.resources import AUTOSCALER, DEPLOYMENT, DISRUPTION_BUDGET, SERVICE

PORT: Final = "mcp"
SCRATCH: Final = "mcppool-tmp"
HOME: Final = ({"name": "HOME", "value": "/tmp"},)  # noqa: S108
DEFAULT_REQUESTS: Final = {"cpu": "50m", "memory": "64Mi"}


def server_deployment(owner: Owner, resource: Resource, managed: ManagedSource, image: GatewayImage) -> dict[str, Any]:
    """Return the Deployment of the servers; `image` has the adapter for servers on standard streams."""
    template = managed.pod_template
    drain = math.ceil(resource.pool.timeouts.drain)
    grace = template.spec.termination_grace_period_seconds
    pod: dict[str, Any] = {
        **placed(template.spec, owner.server_selector),
        "terminationGracePeriodSeconds": grace or drain + 10,
        "containers": [_container(managed, drain)],
        "volumes": [{"name": SCRATCH, "emptyDir": {}}, *map(kubernetes_object, template.spec.volumes)],
    }
    if managed.transport == "stdio":
        _put_adapter(pod, resource, managed, image)
    return owner.server_child(
        DEPLOYMENT,
        spec={
            **({"replicas": managed.replicas} if managed.replicas is not None else {}),
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 300,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": owner.server_selector},
            "template": {"metadata": metadata(template.metadata, owner.server_labels), "spec": pod},
        },
    )


def _put_adapter(pod: dict[str, Any], resource: Resource, managed: ManagedSource, image: GatewayImage) -> None:
    """Put the adapter in front of the program of a pod."""
    (container,) = pod["containers"]
    pod["initContainers"] = [adapter.init_container(resource, image)]
    if image.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in image.pull_secrets]
    pod["volumes"].insert(0, {"name": adapter.VOLUME, "emptyDir": {}})
    container["volumeMounts"].insert(0, {"name": adapter.VOLUME, "mountPath": adapter.DIRECTORY, "readOnly": True})
    container["command"], container["args"] = list(adapter.COMMAND), adapter.arguments(resource, managed)
    container["ports"].append({"name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP"})
    container["resources"] = requirements(adapter.DEFAULT_REQUESTS, {}, managed.resources)
    container |= adapter.probes()


def _port(managed: ManagedSource) -> int:
    return adapter.PORT if managed.port is None else managed.port


def _container(managed: ManagedSource, drain: int) -> dict[str, Any]:
    mounts = [kubernetes_object(mount) for mount in managed.volume_mounts]
    if not any(mount["mountPath"] == "/tmp" for mount in mounts):  # noqa: S108
        mounts.insert(0, {"name": SCRATCH, "mountPath": "/tmp"})  # noqa: S108
    names = {entry.name for entry in managed.env}
    return {
        "name": "server",
        "image": managed.image,
        **({"command": list(managed.command)} if managed.command else {}),
        **({"args": list(managed.args)} if managed.args else {}),
        # Images that run as root by default need a home that they can write to.
        "env": [*HOME, *map(_env, managed.env)] if "HOME" not in names else [*map(_env, managed.env)],
        "ports": [{"name": PORT, "containerPort": _port(managed), "protocol": "TCP"}],
        "resources": requirements(DEFAULT_REQUESTS, {}, managed.resources),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 2, "failureThreshold": 2},
        # It goes on serving while it drains: the gateways give it no new session, and its sessions end or move.
        "lifecycle": {"preStop": {"sleep": {"seconds": max(drain, 1)}}},
        "volumeMounts": mounts,
    }


def _env(entry: ServerEnvSpec) -> dict[str, Any]:
    if entry.secret_ref is None:
        return {"name": entry.name, "value": entry.value}
    reference = {"name": entry.secret_ref.name, "key": entry.secret_ref.key}
    return {"name": entry.name, "valueFrom": {"secretKeyRef": reference}}


def server_service(owner: Owner, managed: ManagedSource) -> dict[str, Any]:
    """Return the headless Service whose EndpointSlices are the pool's endpoints."""
    port = {"name": PORT, "port": _port(managed), "targetPort": PORT, "protocol": "TCP"}
    spec = {"type": "ClusterIP", "clusterIP": "None", "selector": owner.server_selector, "ports": [port]}
    return owner.server_child(SERVICE, spec=spec)


def server_disruption_budget(owner: Owner) -> dict[str, Any]:
    """Return the PodDisruptionBudget of the servers."""
    selector = {"matchLabels": owner.server_selector}
    spec = {"maxUnavailable": 1, "selector": selector, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    return owner.server_child(DISRUPTION_BUDGET, spec=spec)


def server_autoscaler(owner: Owner, managed: ManagedSource) -> dict[str, Any] | None:
    """Return the HorizontalPodAutoscaler of the servers, if the pool wants one."""
    if managed.autoscaling is None:
        return None
    return owner.server_child(AUTOSCALER, spec=server_autoscaler_spec(owner, managed.autoscaling))


def pods_service(owner: Owner, selector: dict[str, str], port: int) -> dict[str, Any]:
    """Return the headless Service that finds pods by the pool's labels."""
    ports = [{"name": PORT, "port": port, "targetPort": port, "protocol": "TCP"}]
    spec = {"type": "ClusterIP", "clusterIP": "None", "selector": dict(selector), "ports": ports}
    child = owner.child(SERVICE, owner.pods_name, spec=spec)
    child["metadata"]["labels"] = owner.server_labels
    return child
