"""A server on FastMCP that is the authorization server of its clients as well.

Run as a program: `fastmcp_oauth.py PORT RESOURCE`. Clients sign in at PORT, and use the server at the origin RESOURCE.
"""

import sys

from fastmcp import FastMCP
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider
from mcp.server.auth.settings import ClientRegistrationOptions

port, resource = int(sys.argv[1]), sys.argv[2]
server = FastMCP(
    "fastmcp-oauth",
    auth=InMemoryOAuthProvider(
        base_url=f"http://127.0.0.1:{port}",
        resource_base_url=resource,
        client_registration_options=ClientRegistrationOptions(enabled=True),
    ),
)


@server.tool
def add(a: int, b: int) -> int:
    """a + b."""
    return a + b


server.run(transport="http", host="127.0.0.1", port=port, log_level="warning", show_banner=False)
