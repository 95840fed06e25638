"""A local server that answers with the bytes of a file, and reads no JSON of large requests: only the gateway's work
takes time. No packages.

It speaks the modern era; with an argument, a number, the handshake era with instructions of so many bytes.

Arguments of its tool: `first`, a file that it writes before its answer; `result`, a file with the rest of its answer;
`last`: it exits after its answer. It answers a large request with the SHA-256 of its line without the id.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

ID = re.compile(rb'"id": ?("[^"]*"|[0-9]+)')
SMALL = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


def result_of(line: bytes) -> bytes:
    """The result of a request, and what comes before its answer."""
    if len(line) > 1 << 20:
        digest = hashlib.sha256(ID.sub(b"", line, count=1)).hexdigest()
        return json.dumps({**SMALL, "content": [], "structuredContent": {"digest": digest}}).encode()
    message: dict[str, Any] = json.loads(line)
    if message["method"] == "initialize":
        about = {"serverInfo": {"name": "s", "version": "1"}, "instructions": "x" * int(sys.argv[1])}
        version = message["params"]["protocolVersion"]
        return json.dumps({"protocolVersion": version, "capabilities": {"tools": {}}, **about}).encode()
    given = message["params"].get("arguments", {})
    if "first" in given:
        sys.stdout.buffer.write(Path(given["first"]).read_bytes())
    if "result" in given:
        return Path(given["result"]).read_bytes()
    versions = ["2026-07-28"] if len(sys.argv) == 1 else []
    known = {"supportedVersions": versions, "capabilities": {"tools": {}}, "tools": [], "content": []}
    return json.dumps({**SMALL, **known}).encode()


def main() -> None:
    """Read until the input ends."""
    for line in sys.stdin.buffer:
        found = ID.search(line)
        if found is None:
            continue
        sys.stdout.buffer.write(b'{"jsonrpc":"2.0","id":%b,"result":%b}\n' % (found[1], result_of(line)))
        sys.stdout.buffer.flush()
        if len(line) < 1 << 20 and b'"last"' in line:
            os._exit(0)


if __name__ == "__main__":
    main()
