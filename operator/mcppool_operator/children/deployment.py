"""The gateways' Deployment: pods that meet the *restricted* Pod Security Standard, drain when they stop, and start from
a mounted snapshot when the API server is away."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

from mcppool.spec import Resource
from mcppool_operator.children import ADMIN_PORT, CONFIG_DIRECTORY, KEYS_DIRECTORY, MCP_PORT, Owner
from mcppool_operator.children.merge import merge
from mcppool_operator.resources import DEPLOYMENT

USER: Final = 65532
PRE_STOP_SECONDS: Final = 5
"""How long a gateway goes on accepting after it was told to stop: until every node has taken it out of the Service."""

TOKEN_DIRECTORY: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
DEFAULT_REQUESTS: Final = {"cpu": "100m", "memory": "96Mi"}


@dataclass(frozen=True, slots=True)
class GatewayImage:
    """What gateway pods run, where the pool does not say."""

    name: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = field(default=())


def deployment(owner: Owner, resource: Resource, image: GatewayImage) -> dict[str, Any]:
    """Return the Deployment of a pool's gateways."""
    gateway = resource.gateway
    template = {"metadata": {"labels": owner.labels}, "spec": _pod(owner, resource, image)}
    return owner.child(
        DEPLOYMENT,
        owner.gateway_name,
        spec={
            "replicas": gateway.replicas,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 300,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": owner.selector},
            "template": merge(template, gateway.pod_template),
        },
    )


def _pod(owner: Owner, resource: Resource, image: GatewayImage) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "serviceAccountName": owner.gateway_name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": math.ceil(resource.pool.timeouts.drain) + 2 * PRE_STOP_SECONDS,
        "topologySpreadConstraints": [
            _spread(owner, "kubernetes.io/hostname"),
            _spread(owner, "topology.kubernetes.io/zone"),
        ],
        "containers": [_container(owner, resource, image)],
        "volumes": [
            {"name": "config", "configMap": {"name": owner.config_name}},
            {"name": "keys", "secret": {"secretName": owner.keys_name, "defaultMode": 0o440}},
            {"name": "api-access", "projected": {"defaultMode": 0o444, "sources": _api_access()}},
        ],
    }
    if image.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in image.pull_secrets]
    return pod


def _container(owner: Owner, resource: Resource, image: GatewayImage) -> dict[str, Any]:
    resources: dict[str, Any] = {"requests": {**DEFAULT_REQUESTS, **resource.gateway.resources.requests}}
    if resource.gateway.resources.limits:
        resources["limits"] = dict(resource.gateway.resources.limits)
    return {
        "name": "gateway",
        "image": resource.gateway.image or image.name,
        "imagePullPolicy": image.pull_policy,
        "command": ["mcppool"],
        "args": ["serve", "--kubernetes", f"{owner.namespace}/{owner.config_name}", "--mount", CONFIG_DIRECTORY],
        "ports": [
            {"name": "http", "containerPort": MCP_PORT, "protocol": "TCP"},
            {"name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP"},
        ],
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "startupProbe": _probe("/livez", periodSeconds=1, failureThreshold=60),
        "livenessProbe": _probe("/livez", periodSeconds=10, failureThreshold=3),
        "readinessProbe": _probe("/readyz", periodSeconds=2, failureThreshold=2),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "volumeMounts": [
            # Whole directories: what is mounted by `subPath` never changes.
            {"name": "config", "mountPath": CONFIG_DIRECTORY, "readOnly": True},
            {"name": "keys", "mountPath": KEYS_DIRECTORY, "readOnly": True},
            {"name": "api-access", "mountPath": TOKEN_DIRECTORY, "readOnly": True},
        ],
    }


def _probe(path: str, **timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "admin"}, "timeoutSeconds": 2, **timing}


def _spread(owner: Owner, topology_key: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": topology_key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": owner.selector},
    }


def _api_access() -> list[dict[str, Any]]:
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
