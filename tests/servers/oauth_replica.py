"""A replica of a server on the official SDK 2.x that checks access tokens itself: both eras.

Run as a program: `oauth_replica.py --port N --issuer URL --resource URL`. Its metadata is where the SDK puts it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

import jwt
import uvicorn
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp_types import ToolAnnotations


class Verifier:
    """Verifies tokens of one issuer for one resource."""

    def __init__(self, issuer: str, resource: str) -> None:
        self._issuer = issuer
        self._resource = resource
        self._keys = jwt.PyJWKClient(f"{issuer}/jwks")

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            key = await asyncio.to_thread(self._keys.get_signing_key_from_jwt, token)
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms=["ES256"], audience=self._resource, issuer=self._issuer
            )
        except jwt.PyJWTError:
            return None
        return AccessToken(
            token=token, client_id=claims["client_id"], scopes=claims["scope"].split(), expires_at=claims["exp"],
            resource=self._resource, subject=claims["sub"],
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--resource", required=True)
    args = parser.parse_args()
    auth = AuthSettings.model_validate(
        {"issuer_url": args.issuer, "resource_server_url": args.resource, "required_scopes": ["mcp:use"]}
    )
    mcp = MCPServer("oauth-replica", auth=auth, token_verifier=Verifier(args.issuer, args.resource))

    @mcp.tool(annotations=ToolAnnotations(read_only_hint=True))
    async def whoami() -> str:
        """Who calls."""
        token = get_access_token()
        return f"{token.subject}" if token is not None else "nobody"

    @mcp.tool(annotations=ToolAnnotations(read_only_hint=True))
    async def claims() -> str:
        """The claims of the caller's token, as JSON."""
        token = get_access_token()
        assert token is not None
        return json.dumps(
            jwt.decode(token.token, options={"verify_signature": False})
        )  # the middleware has verified it

    uvicorn.run(mcp.streamable_http_app(), host="127.0.0.1", port=args.port, log_level="warning")


if __name__ == "__main__":
    main()
