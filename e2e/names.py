"""Names on the page and in its manifests; the tests find the objects by them."""

from __future__ import annotations

NAMESPACE = "default"
OPERATOR_NAMESPACE = "mcppool-system"
OPERATOR = "deployment/mcppool"
POOL = "search"
SERVERS = "deployment/search"
SERVER_LABEL = "app=search"
GATEWAYS = f"deployment/{POOL}-mcp-gateway"
GATEWAY_LABEL = f"app.kubernetes.io/instance={POOL},app.kubernetes.io/component=gateway"
GATEWAY_PORT = 8080
URL = f"http://{POOL}-mcp-gateway:{GATEWAY_PORT}/mcp"
CLIENT = "client"
CLIENT_LABEL = "app=client"
TESTKIT = "localhost/mcppool-testkit:0.1.0"
