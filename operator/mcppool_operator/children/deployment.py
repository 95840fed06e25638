"""The gateways' Deployment: pods that meet the *restricted* Pod Security Standard, drain when they stop, and start from
a mounted snapshot when the API server is away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mcppool.spec.resource import Resource
from mcppool.spec.secret_refs import SECRETS_DIRECTORY, SecretKey, secret_keys
from mcppool_operator.children import ADMIN_PORT, CONFIG_DIRECTORY, KEYS_DIRECTORY, MCP_PORT, Owner
from mcppool_operator.children.keys import keys_volume
from mcppool_operator.children.kubernetes import kubernetes_object
from mcppool_operator.children.pod import metadata, placed
from mcppool_operator.children.resources import requirements
from mcppool_operator.children.secret_volume import secret_volume
from mcppool_operator.resources import DEPLOYMENT

PRE_STOP_SECONDS: Final = 5
"""Seconds that a gateway still accepts connections after its stop began, until every node has removed it from the
Service."""

INITIAL_REPLICAS: Final = 2
"""Gateways of a new pool that sets no number."""

TOKEN_DIRECTORY: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105
DEFAULT_REQUESTS: Final = {"cpu": "100m", "memory": "128Mi"}
"""An idle gateway uses about 75 MiB of resident memory, and not much more under load (docs/reference/benchmarks.md)."""

DEFAULT_LIMITS: Final = {"memory": "512Mi"}
"""Room for the memory cache (64 MiB by default) and for the data in flight of clients and servers; the gateway takes
its own budget from it (`limits.memory`) and refuses work before the kernel kills it."""


@dataclass(frozen=True, slots=True)
class GatewayImage:
    """Defaults of gateway pods, for pools that set no others."""

    name: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = field(default=())


ACCOUNT: Final = "mcppool.dev/account"
"""Annotation of the gateways' pods: the uid of their ServiceAccount. Tokens of a deleted account are worth nothing,
also with an account of the same name, so its pods are replaced."""


def under_account(body: Mapping[str, Any], uid: str) -> dict[str, Any]:
    """Return a Deployment whose pods hold tokens of the account with this uid."""
    template = body["spec"]["template"]
    annotations = {**template["metadata"].get("annotations", {}), ACCOUNT: uid}
    marked = {**template, "metadata": {**template["metadata"], "annotations": annotations}}
    return {**body, "spec": {**body["spec"], "template": marked}}


def account_of(body: Mapping[str, Any]) -> str | None:
    """Return the uid of the account that a Deployment's pods hold tokens of; None if it is not noted."""
    metadata = ((body.get("spec") or {}).get("template") or {}).get("metadata") or {}
    found = (metadata.get("annotations") or {}).get(ACCOUNT)
    return str(found) if found else None


def deployment(owner: Owner, resource: Resource, image: GatewayImage) -> dict[str, Any]:
    """Return the Deployment of a pool's gateways."""
    gateway = resource.gateway
    return owner.child(
        DEPLOYMENT,
        owner.gateway_name,
        spec={
            # An unset number is never written: then an autoscaler or a person owns it (apply.py sets the first one).
            **({"replicas": gateway.replicas} if gateway.replicas is not None else {}),
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": 300,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": owner.selector},
            "template": {
                "metadata": metadata(gateway.pod_template.metadata, owner.labels),
                "spec": _pod(owner, resource, image),
            },
        },
    )


def mounted(resource: Resource) -> tuple[SecretKey, ...]:
    """Return every key of a Secret that the gateways need."""
    return tuple(sorted({*secret_keys(resource.pool), *secret_keys(resource.gateway)}))


def _pod(owner: Owner, resource: Resource, image: GatewayImage) -> dict[str, Any]:
    wanted = resource.gateway.pod_template.spec
    secrets = mounted(resource)
    grace = wanted.termination_grace_period_seconds
    pod: dict[str, Any] = {
        **placed(wanted, owner.selector),
        "serviceAccountName": owner.gateway_name,
        "terminationGracePeriodSeconds": grace or math.ceil(resource.pool.timeouts.drain) + 2 * PRE_STOP_SECONDS,
        "containers": [_container(owner, resource, image)],
        "volumes": [
            {"name": "config", "configMap": {"name": owner.config_name}},
            keys_volume(owner),
            {"name": "api-access", "projected": {"defaultMode": 0o444, "sources": _api_access()}},
            *([secret_volume(secrets)] if secrets else []),
            *map(kubernetes_object, wanted.volumes),
        ],
    }
    if image.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in image.pull_secrets]
    return pod


def _container(owner: Owner, resource: Resource, image: GatewayImage) -> dict[str, Any]:
    gateway = resource.gateway
    extra = next(iter(gateway.pod_template.spec.containers), None)
    secrets = {"name": "secrets", "mountPath": SECRETS_DIRECTORY, "readOnly": True}
    return {
        "name": "gateway",
        "image": gateway.image or image.name,
        "imagePullPolicy": image.pull_policy,
        "command": ["mcppool"],
        "args": ["serve", "--kubernetes", f"{owner.namespace}/{owner.config_name}", "--mount", CONFIG_DIRECTORY],
        "ports": [
            {"name": "http", "containerPort": MCP_PORT, "protocol": "TCP"},
            {"name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP"},
        ],
        **({"env": [kubernetes_object(entry) for entry in extra.env]} if extra and extra.env else {}),
        "resources": requirements(
            DEFAULT_REQUESTS, DEFAULT_LIMITS, gateway.resources, extra.resources if extra else None
        ),
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
            # Whole directories: a `subPath` mount never changes.
            {"name": "config", "mountPath": CONFIG_DIRECTORY, "readOnly": True},
            {"name": "keys", "mountPath": KEYS_DIRECTORY, "readOnly": True},
            {"name": "api-access", "mountPath": TOKEN_DIRECTORY, "readOnly": True},
            *([secrets] if mounted(resource) else []),
            *(kubernetes_object(entry) for entry in (extra.volume_mounts if extra else ())),
        ],
    }


def _probe(path: str, **timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "admin"}, "timeoutSeconds": 2, **timing}


def _api_access() -> list[dict[str, Any]]:
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]
