"""The NetworkPolicy of the gateways: permitted peers of each port."""

from __future__ import annotations

from typing import Any

from mcppool.spec.sections.gateway import NetworkPolicySpec, PeerSpec
from mcppool_operator.children import ADMIN_PORT, MCP_PORT, Owner
from mcppool_operator.children.kubernetes import kubernetes_object
from mcppool_operator.resources import NETWORK_POLICY


def network_policy(owner: Owner, wanted: NetworkPolicySpec, operator_namespace: str) -> dict[str, Any]:
    """Return the NetworkPolicy: clients to the MCP port; the operator, Prometheus and the other gateways
    to the admin port.

    It does not limit connections from gateways: their servers may be anywhere, and may change while the policy would
    not.
    """
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/component": "operator"}},
    }
    clients: dict[str, Any] = {"ports": [{"port": MCP_PORT, "protocol": "TCP"}]}
    if wanted.clients:
        clients["from"] = [_peer(peer) for peer in wanted.clients]
    admin = {
        "ports": [{"port": ADMIN_PORT, "protocol": "TCP"}],
        "from": [operator, {"podSelector": {"matchLabels": owner.selector}}, *map(_peer, wanted.scrapers)],
    }
    return owner.child(
        NETWORK_POLICY,
        owner.gateway_name,
        spec={
            "podSelector": {"matchLabels": owner.selector},
            "policyTypes": ["Ingress"],
            "ingress": [clients, admin],
        },
    )


def _peer(peer: PeerSpec) -> dict[str, Any]:
    return kubernetes_object(peer)
