"""The SDK's everything server with a requestState key of its own, as every `MCPServer` without configured keys has.

The published one has its key in its source, so that each replica opens the seals of the others; real pools are rarely
like that.
"""

from __future__ import annotations

import runpy
from collections.abc import Sequence

import mcp.server.mcpserver
from mcp.server.mcpserver import RequestStateSecurity


def own_key(*, keys: Sequence[bytes]) -> RequestStateSecurity:
    """The SDK's default for a server without keys."""
    return RequestStateSecurity.ephemeral()


if __name__ == "__main__":
    mcp.server.mcpserver.RequestStateSecurity = own_key  # type: ignore[misc,assignment]  # a stand-in
    runpy.run_module("mcp_everything_server", run_name="__main__", alter_sys=True)
