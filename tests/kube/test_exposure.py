"""How clients reach the gateways: their Service, TLS, an Ingress, an HTTPRoute."""

from __future__ import annotations

import json
from typing import Any

from mcppool_operator.resources import CONFIG_MAP, DEPLOYMENT, HTTP_ROUTE, INGRESS, POOL, SERVICE
from tests.kube.administrator import Administrator
from tests.kube.operator_process import Operator
from tests.kube.pool_objects import GATEWAY


def address(pool: Any) -> Any:
    return ((pool or {}).get("status") or {}).get("address")


async def start(admin: Administrator, **gateway: Any) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool(gateway=gateway)


async def test_an_ingress_leads_to_the_gateways_which_know_its_names(operator: Operator, admin: Administrator) -> None:
    route = {"type": "Ingress", "className": "nginx", "hostnames": ["mcp.example.com"], "tlsSecretName": "cert"}
    await start(admin, route=route)
    found = await admin.until(INGRESS, GATEWAY, bool, "the Ingress is there")
    (rule,) = found["spec"]["rules"]
    assert rule["host"] == "mcp.example.com"
    backend = rule["http"]["paths"][0]["backend"]["service"]
    service = await admin.until(SERVICE, GATEWAY, bool, "the Service is there")
    assert backend["port"]["number"] in [port["port"] for port in service["spec"]["ports"]]
    assert found["spec"]["tls"] == [{"hosts": ["mcp.example.com"], "secretName": "cert"}]
    snapshot = await admin.until(CONFIG_MAP, "search-mcp-config", bool, "the snapshot is there")
    assert "mcp.example.com" in json.loads(snapshot["data"]["snapshot.json"])["listener"]["allowed_hosts"]
    await admin.until(POOL, "search", lambda found: address(found) == "mcp.example.com/mcp", "the status says it")
    await admin.delete(INGRESS, GATEWAY)
    await admin.until(INGRESS, GATEWAY, bool, "the Ingress is made again")
    # Another kind of route takes its place.
    parents = [{"name": "public", "namespace": "gateways", "sectionName": "https"}]
    await admin.pool(gateway={"route": {"type": "HTTPRoute", "hostnames": ["mcp.example.org"], "parentRefs": parents}})
    await admin.until(INGRESS, GATEWAY, lambda found: found is None, "the Ingress is gone")
    found = await admin.until(HTTP_ROUTE, GATEWAY, bool, "the HTTPRoute is there")
    assert [(parent["name"], parent["sectionName"]) for parent in found["spec"]["parentRefs"]] == [("public", "https")]
    assert found["spec"]["rules"][0]["timeouts"] == {"request": "0s"}, "streams last"
    await admin.until(POOL, "search", lambda found: address(found) == "mcp.example.org/mcp", "the status says it")
    await admin.pool()
    await admin.until(HTTP_ROUTE, GATEWAY, lambda found: found is None, "the HTTPRoute is gone")
    await admin.until(POOL, "search", lambda found: address(found) is None, "and the address")


async def test_a_load_balancers_address_shows_in_the_status(operator: Operator, admin: Administrator) -> None:
    await start(admin, service={"type": "LoadBalancer", "port": 443, "annotations": {"example.com/internal": "true"}})
    found = await admin.until(SERVICE, GATEWAY, bool, "the Service is there")
    assert found["spec"]["type"] == "LoadBalancer"
    assert found["metadata"]["annotations"]["example.com/internal"] == "true"
    await admin.merge(SERVICE, GATEWAY, {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}, "status")
    await admin.until(POOL, "search", lambda found: address(found) == "192.0.2.7:443/mcp", "the status says it")


async def test_gateways_serve_https_with_the_keys_of_a_secret(operator: Operator, admin: Administrator) -> None:
    tls = {
        "certificateSecretRef": {"name": "search-tls", "key": "tls.crt"},
        "keySecretRef": {"name": "search-tls", "key": "tls.key"},
    }
    await start(admin, tls=tls)
    snapshot = await admin.until(CONFIG_MAP, "search-mcp-config", bool, "the snapshot is there")
    published = json.loads(snapshot["data"]["snapshot.json"])["listener"]["tls"]
    assert published["certificate_file"] == "/etc/mcppool/secrets/search-tls/tls.crt"
    assert published["key_file"] == "/etc/mcppool/secrets/search-tls/tls.key"
    deployment = await admin.until(DEPLOYMENT, GATEWAY, bool, "the Deployment is there")
    volumes = {volume["name"]: volume for volume in deployment["spec"]["template"]["spec"]["volumes"]}
    assert volumes["secrets"]["projected"]["sources"][0]["secret"]["name"] == "search-tls"
    pool = await admin.until(POOL, "search", lambda found: "url" in found.get("status", {}), "the URL is known")
    assert pool["status"]["url"] == f"https://{GATEWAY}.{admin.namespace}.svc:8080/mcp"
