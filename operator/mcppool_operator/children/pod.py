"""Common parts of the pods of gateways and of servers. Pure."""

from __future__ import annotations

from typing import Any, Final

from mcppool.spec.sections.pod_template import PlacementSpec, PodMetadataSpec
from mcppool_operator.children.kubernetes import kubernetes_object

USER: Final = 65532
SCHEDULING: Final = ("nodeSelector", "affinity", "tolerations", "priorityClassName")


def metadata(wanted: PodMetadataSpec, labels: dict[str, str]) -> dict[str, Any]:
    """Return the metadata of pods: the pool's, overridden by the operator's labels."""
    found: dict[str, Any] = {"labels": {**wanted.labels, **labels}}
    return found | ({"annotations": dict(wanted.annotations)} if wanted.annotations else {})


def placed(wanted: PlacementSpec, selector: dict[str, str]) -> dict[str, Any]:
    """Return scheduling and users of pods: the pool's choice, within the Pod Security Standard *restricted*."""
    said = kubernetes_object(wanted)
    spread = wanted.topology_spread_constraints
    if spread is None:
        constraints = [_spread(selector, key) for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")]
    else:
        counted = {"labelSelector": {"matchLabels": selector}}
        constraints = [{**counted, **kubernetes_object(entry)} for entry in spread]
    return {
        **{name: said[name] for name in SCHEDULING if name in said},
        **({"topologySpreadConstraints": constraints} if constraints else {}),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            **kubernetes_object(wanted.security_context),
        },
    }


def _spread(selector: dict[str, str], topology_key: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": topology_key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector},
    }
