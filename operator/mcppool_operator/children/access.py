"""The account of the gateway pods, and their only right: to read their ConfigMap."""

from __future__ import annotations

from typing import Any

from mcppool_operator.children import Owner
from mcppool_operator.resources import ROLE, ROLE_BINDING, SERVICE_ACCOUNT


def service_account(owner: Owner) -> dict[str, Any]:
    """Return the gateways' ServiceAccount; its token is mounted only by the projection in the Deployment."""
    return owner.child(SERVICE_ACCOUNT, owner.gateway_name, automountServiceAccountToken=False)


def role(owner: Owner) -> dict[str, Any]:
    """Return the Role. `resourceNames` also permit a list or watch of one name (`fieldSelector=metadata.name=…`)."""
    rule = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": [owner.config_name],
        "verbs": ["get", "list", "watch"],
    }
    return owner.child(ROLE, owner.gateway_name, rules=[rule])


def role_binding(owner: Owner) -> dict[str, Any]:
    """Return the RoleBinding of account and Role."""
    return owner.child(
        ROLE_BINDING,
        owner.gateway_name,
        roleRef={"apiGroup": ROLE.group, "kind": ROLE.kind, "name": owner.gateway_name},
        subjects=[{"kind": SERVICE_ACCOUNT.kind, "name": owner.gateway_name, "namespace": owner.namespace}],
    )
