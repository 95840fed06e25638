"""A local server that answers all but its first requests with the text of a given file.

An empty script makes it exit. It answers `server/discover`, `initialize`, lists and `ping` correctly without a script.
No packages.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

INFO = {"name": "fuzzed", "version": "1"}
LISTED = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
CAPABILITIES: dict[str, Any] = {"tools": {}}


def result_of(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The answers of a healthy server."""
    match method:
        case "server/discover":
            return {"supportedVersions": ["2026-07-28"], "capabilities": CAPABILITIES, "serverInfo": INFO, **LISTED}
        case "initialize":
            return {"protocolVersion": params["protocolVersion"], "capabilities": CAPABILITIES, "serverInfo": INFO}
        case "tools/list":
            return {"tools": [{"name": "read", "inputSchema": {"type": "object"}}], **LISTED}
        case "tools/call":
            return {"content": [{"type": "text", "text": "well"}], "resultType": "complete"}
    return {"resultType": "complete"}


def main() -> None:
    """Serve until the input ends."""
    script = Path(sys.argv[1])
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        id = json.dumps(message["id"]).encode()
        if message["method"] == "tools/call" and script.exists():
            output = script.read_bytes().replace(b"@ID@", id)
            if not output:
                sys.exit(3)
        else:
            answer = {"jsonrpc": "2.0", "id": "@ID@", "result": result_of(message["method"], message.get("params", {}))}
            output = json.dumps(answer).encode().replace(b'"@ID@"', id) + b"\n"
        sys.stdout.buffer.write(output)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
