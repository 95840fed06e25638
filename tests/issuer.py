"""An authorization server as small as can be: keys that tests hold, and its documents over HTTP."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

RESOURCE = "https://mcp.example.com/mcp"


class SigningKey:
    """A key of an issuer, with its public half as a JSON Web Key."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self.private = ec.generate_private_key(ec.SECP256R1())

    @property
    def public(self) -> dict[str, Any]:
        document = jwt.algorithms.ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**document, "kid": self.kid, "use": "sig", "alg": "ES256"}


class Issuer:
    """Signs tokens, and lists its keys. `asked` counts requests by path; `away` makes it answer 503."""

    def __init__(self, url: str = "https://id.example.com") -> None:
        self.url = url
        self.keys = [SigningKey("k1")]
        self.asked: dict[str, int] = {}
        self.away = False
        self.metadata: dict[str, Any] = {}

    @property
    def jwks(self) -> bytes:
        return json.dumps({"keys": [key.public for key in self.keys]}).encode()

    def token(
        self,
        subject: str = "ann",
        *,
        header: Mapping[str, Any] | None = None,
        key: SigningKey | None = None,
        **claims: Any,
    ) -> str:
        """A token; a claim that is None is left out."""
        now = int(time.time())
        key = key or self.keys[-1]
        body = {
            "iss": self.url, "sub": subject, "aud": RESOURCE, "exp": now + 600, "iat": now, "client_id": "agent",
            "scope": "mcp", **claims,
        }  # fmt: skip
        return jwt.encode(
            {name: value for name, value in body.items() if value is not None},
            key.private,
            "ES256",
            {"typ": "at+jwt", "kid": key.kid, **(header or {})},
        )

    async def answer(self, request: web.Request) -> web.Response:
        """A request for one of its documents."""
        self.asked[request.path] = self.asked.get(request.path, 0) + 1
        if self.away:
            return web.Response(status=503)
        if request.path == "/jwks":
            return web.Response(body=self.jwks, content_type="application/json")
        if request.path == "/.well-known/oauth-authorization-server" and self.metadata is not None:
            return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **self.metadata})
        return web.Response(status=404)


@contextlib.asynccontextmanager
async def serving_issuer(issuer: Issuer | None = None) -> AsyncIterator[Issuer]:
    """An issuer on a free port of 127.0.0.1."""
    issuer = issuer or Issuer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", issuer.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    issuer.url = f"http://{host}:{port}"
    try:
        yield issuer
    finally:
        await runner.cleanup()
