"""The MCP server of `helm test`, on standard streams: one tool, which says hello."""

import json
import sys

TOOL = {
    "name": "hello",
    "inputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": True},
}


def answer(method, params):
    """Return the result of a request; None for a method that there is not."""
    if method == "initialize":
        version = params.get("protocolVersion", "2025-11-25")
        about = {"name": "helm-test", "version": "1"}
        return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": "hello"}]}
    return {} if method == "ping" else None


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message and "method" in message:
        result = answer(message["method"], message.get("params") or {})
        fault = {"code": -32601, "message": "Method not found"}
        outcome = {"error": fault} if result is None else {"result": result}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome}), flush=True)
