"""A fake OAuth authorization server on a loopback port, for answers that a real one gives only on a bad day."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote_plus

from aiohttp import web

from tests.servers.process import HOST, free_port

SECRET = "s3cret+/ of the client"


@dataclass
class TokenRequest:
    """One request for a token: its form, and the client id and secret of its `Authorization` header."""

    form: dict[str, str]
    basic: tuple[str, str] | None


@dataclass
class FakeIssuer:
    """`async with FakeIssuer() as issuer`: gives the tokens `token-1`, `token-2`, …

    `answer` replaces its answer to requests for tokens; `metadata` is served at the place of RFC 8414 where `path` is
    that of the issuer.
    """

    expires_in: float = 3600
    path: str = ""
    answer: Callable[[TokenRequest], Awaitable[web.Response]] | None = None
    metadata: dict[str, Any] | None = None
    requests: list[TokenRequest] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.issuer = f"http://{HOST}:{self.port}{self.path}"
        self.token_url = f"http://{HOST}:{self.port}/token"
        self.gate.set()
        self._issued = 0

    @property
    def newest(self) -> str:
        """The token that was issued last."""
        return f"token-{self._issued}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/token", self._token)
        app.router.add_get("/{place:.*}", self._metadata)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def good(self) -> web.Response:
        """A new token."""
        self._issued += 1
        return web.json_response({"access_token": self.newest, "token_type": "Bearer", "expires_in": self.expires_in})

    async def _token(self, request: web.Request) -> web.Response:
        basic = None
        if given := request.headers.get("Authorization"):
            id, _, secret = b64decode(given.removeprefix("Basic ")).decode().partition(":")
            basic = unquote_plus(id), unquote_plus(secret)
        asked = TokenRequest({key: str(value) for key, value in (await request.post()).items()}, basic)
        self.requests.append(asked)
        await self.gate.wait()
        return self.good() if self.answer is None else await self.answer(asked)

    async def _metadata(self, request: web.Request) -> web.Response:
        self.asked_for.append(request.path)
        if request.path != f"/.well-known/oauth-authorization-server{self.path}":
            return web.Response(status=404)
        return web.json_response(
            self.metadata or {"issuer": self.issuer, "token_endpoint": self.token_url, "jwks_uri": "http://x/"}
        )
