"""The connections that NetworkPolicies permit, by the rules of the Kubernetes API: no network plug-in is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Pod:
    """A pod as policies see it; `ports` are its named ports."""

    namespace: str
    labels: Labels
    ports: Mapping[str, int] = field(default_factory=dict)

    @property
    def namespace_labels(self) -> Labels:
        """The labels that every namespace has."""
        return {"kubernetes.io/metadata.name": self.namespace}


def pod_of(workload: Mapping[str, Any]) -> Pod:
    """The pods of a Deployment."""
    template = workload["spec"]["template"]
    ports = {port["name"]: port["containerPort"] for c in template["spec"]["containers"] for port in c.get("ports", ())}
    return Pod(workload["metadata"]["namespace"], template["metadata"]["labels"], ports)


def passes(policies: Sequence[Mapping[str, Any]], source: Pod, target: Pod, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection is let out of its source and into its target."""
    out = _allowed(policies, "Egress", "to", source, target, target, port, protocol)
    return out and _allowed(policies, "Ingress", "from", target, source, target, port, protocol)


def _allowed(
    policies: Sequence[Mapping[str, Any]],
    direction: str,
    peers: str,
    subject: Pod,
    other: Pod,
    target: Pod,
    port: int,
    protocol: str,
) -> bool:
    """Everything is allowed if no policy covers this direction; else the union of what they allow."""
    about = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == subject.namespace
        and direction in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], subject.labels)
    ]
    rules = [(spec, rule) for spec in about for rule in spec.get(direction.lower(), ())]
    return not about or any(
        _has_port(rule.get("ports", ()), target, port, protocol)
        and (not rule.get(peers) or any(_is_peer(peer, other, subject.namespace) for peer in rule[peers]))
        for _, rule in rules
    )


def _has_port(ports: Sequence[Mapping[str, Any]], target: Pod, port: int, protocol: str) -> bool:
    if not ports:
        return True
    numbers = [
        (target.ports.get(entry["port"]) if isinstance(entry.get("port"), str) else entry.get("port", port))
        for entry in ports
        if entry.get("protocol", "TCP") == protocol
    ]
    return port in numbers


def _is_peer(peer: Mapping[str, Any], other: Pod, namespace: str) -> bool:
    assert "ipBlock" not in peer, "blocks of addresses are not evaluated"
    if "namespaceSelector" in peer:
        if not _selects(peer["namespaceSelector"], other.namespace_labels):
            return False
    elif other.namespace != namespace:
        return False
    return _selects(peer.get("podSelector", {}), other.labels)


def _selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """An empty selector selects everything."""
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        _holds(expression, labels) for expression in selector.get("matchExpressions", ())
    )


def _holds(expression: Mapping[str, Any], labels: Labels) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", ())
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]
