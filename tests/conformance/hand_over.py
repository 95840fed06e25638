"""A client for the conformance suite, as a program: `hand_over.py SOCKET URL`.

It hands the scenario over to the listener at SOCKET (`sign_in_clients.py`), which runs it in a process that has loaded
everything. It prints the listener's words and ends as the listener says, so it needs no module that is slow to load.
"""

import json
import os
import socket
import sys

if not os.environ["MCP_CONFORMANCE_SCENARIO"].startswith("auth/"):
    sys.exit(0)  # not about signing in: its result counts for nothing
scenario = {
    "url": sys.argv[2],
    "name": os.environ["MCP_CONFORMANCE_SCENARIO"],
    "revision": os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"],
    "context": json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}")),
}
with socket.socket(socket.AF_UNIX) as listener:
    listener.connect(sys.argv[1])
    listener.sendall(json.dumps(scenario).encode() + b"\n")
    with listener.makefile() as answer:
        words = answer.read()
print(words)
sys.exit(0 if words == "done" else 1)
