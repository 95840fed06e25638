"""The route to the gateways from outside the cluster: an HTTPRoute or an Ingress to their Service."""

from __future__ import annotations

from typing import Any, Final

from mcppool.spec.sections.gateway import GatewaySpec
from mcppool_operator.children import Owner
from mcppool_operator.children.kubernetes import kubernetes_object
from mcppool_operator.resources import HTTP_ROUTE, INGRESS

PATH: Final = "/mcp"


def http_route(owner: Owner, gateway: GatewaySpec) -> dict[str, Any] | None:
    """Return the HTTPRoute, if the pool wants one. It has no time-out, because streams last."""
    wanted = gateway.route
    if wanted is None or wanted.type != "http_route":
        return None
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": PATH}}],
        "backendRefs": [{"name": owner.gateway_name, "port": gateway.service.port}],
        "timeouts": {"request": "0s"},
    }
    spec = {
        "parentRefs": [kubernetes_object(reference) for reference in wanted.parent_refs],
        "hostnames": list(wanted.hostnames),
        "rules": [rule],
    }
    return _annotated(owner.child(HTTP_ROUTE, owner.gateway_name, spec=spec), wanted.annotations)


def ingress(owner: Owner, gateway: GatewaySpec) -> dict[str, Any] | None:
    """Return the Ingress, if the pool wants one."""
    wanted = gateway.route
    if wanted is None or wanted.type != "ingress":
        return None
    backend = {"service": {"name": owner.gateway_name, "port": {"number": gateway.service.port}}}
    paths = [{"path": PATH, "pathType": "Prefix", "backend": backend}]
    spec: dict[str, Any] = {"rules": [{"host": host, "http": {"paths": paths}} for host in wanted.hostnames]}
    if wanted.class_name is not None:
        spec["ingressClassName"] = wanted.class_name
    if wanted.tls_secret_name is not None:
        spec["tls"] = [{"hosts": list(wanted.hostnames), "secretName": wanted.tls_secret_name}]
    return _annotated(owner.child(INGRESS, owner.gateway_name, spec=spec), wanted.annotations)


def _annotated(body: dict[str, Any], annotations: dict[str, str]) -> dict[str, Any]:
    if annotations:
        body["metadata"]["annotations"] = dict(annotations)
    return body


def outside_address(gateway: GatewaySpec, service: dict[str, Any] | None) -> str | None:
    """Return the address of the pool for clients outside the cluster, if it is known: HOST/mcp, without a scheme."""
    if gateway.route is not None:
        return f"{gateway.route.hostnames[0]}{PATH}"
    status = ((service or {}).get("status") or {}).get("loadBalancer") or {}
    for entry in status.get("ingress") or ():
        host = entry.get("hostname") or entry.get("ip")
        if host:
            return f"{f'[{host}]' if ':' in host else host}:{gateway.service.port}{PATH}"
    return None
