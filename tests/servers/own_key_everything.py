"""The SDK's everything server with a requestState key of its own, as every `MCPServer` that says nothing of keys has.

The published one has its key in its source, so that each replica opens what another sealed; real pools are rarely so.
"""

from __future__ import annotations

import runpy
from collections.abc import Sequence

import mcp.server.mcpserver
from mcp.server.mcpserver import RequestStateSecurity


def own_key(*, keys: Sequence[bytes]) -> RequestStateSecurity:
    """What the SDK installs where a server names no keys."""
    return RequestStateSecurity.ephemeral()


if __name__ == "__main__":
    mcp.server.mcpserver.RequestStateSecurity = own_key  # type: ignore[misc,assignment]  # a stand-in
    runpy.run_module("mcp_everything_server", run_name="__main__", alter_sys=True)
