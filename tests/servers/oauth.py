"""A published authorization server, and clients of the official SDK that sign in there."""

from __future__ import annotations

import asyncio
import ssl
import sys
from urllib.parse import parse_qs, urlsplit

import aiohttp
import httpx2
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from yarl import URL

from tests.requirements import CACHE, need_node, need_path
from tests.servers.kinds import HERE, MCP1_PYTHON, REMEDY
from tests.servers.process import HOST, ServerProcess, free_port, get_page

REDIRECT = "http://127.0.0.1:1/callback"  # nothing listens there: the browser of the test goes no further


class OidcProvider(ServerProcess):
    """npm's oidc-provider. `issuer` is its identifier; its tokens are JWTs, or opaque."""

    def __init__(self, token_format: str = "jwt", **env: str) -> None:
        modules = CACHE / "npm"
        need_path(modules / "node_modules/oidc-provider", "npm's oidc-provider", REMEDY)
        port = free_port()
        self.issuer = f"http://{HOST}:{port}"
        command = [str(need_node()), str(HERE / "npm/issuer.mjs"), str(modules), str(port)]
        super().__init__("issuer", command, port, env={"ACCESS_TOKEN_FORMAT": token_format, **env})

    def answers(self) -> bool:
        """Whether it serves."""
        try:
            return get_page(self.port, "/ready")[0] == 200
        except OSError:
            return False


class Storage(TokenStorage):
    """The memory of a client. `tokens` is None until it has signed in."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Browser:
    """Follows the redirects of an authorization request, as the browser of a signed-in user does."""

    def __init__(self) -> None:
        self._answers: asyncio.Queue[AuthorizationCodeResult] = asyncio.Queue()

    async def open(self, url: str) -> None:
        """Open the page to sign in at."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            for _ in range(10):
                async with session.get(url, allow_redirects=False) as response:
                    assert 300 <= response.status < 400, f"{url}: {response.status} {await response.text()}"
                    url = str(response.url.join(URL(response.headers["location"])))
                if url.startswith(REDIRECT):
                    break
        given = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert "code" in given, f"the issuer refuses: {given}"
        self._answers.put_nowait(AuthorizationCodeResult.model_validate(given))

    async def result(self) -> AuthorizationCodeResult:
        """The code that came back."""
        return await self._answers.get()


def signing_in(url: str, storage: Storage, *, trust: ssl.SSLContext | None = None) -> httpx2.AsyncClient:
    """An HTTP client for the SDK that signs in where the server at `url` says; `trust` are its authorities."""
    browser = Browser()
    metadata = OAuthClientMetadata.model_validate(
        {"client_name": "test", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"}
    )
    provider = OAuthClientProvider(url, metadata, storage, browser.open, browser.result)
    return httpx2.AsyncClient(auth=provider, timeout=30, verify=trust if trust is not None else True)


def oauth_replica(issuer: OidcProvider, resource: str) -> ServerProcess:
    """A server that accepts only tokens of `issuer` for the URL `resource`."""
    port = free_port()
    command = [sys.executable, str(HERE / "oauth_replica.py"), "--port", str(port)]
    return ServerProcess("oauth", [*command, "--issuer", issuer.issuer, "--resource", resource], port)


def fastmcp_oauth(resource: str) -> ServerProcess:
    """A server on FastMCP that issues the tokens itself, for its clients at the origin `resource`."""
    python = need_path(CACHE / "matrix/fastmcp4/bin/python", "FastMCP 4", REMEDY)
    port = free_port()
    program = HERE.parent / "matrix/programs/fastmcp_oauth.py"
    return ServerProcess("fastmcp-oauth", [str(python), str(program), str(port), resource], port)


def typescript_sign_in(url: str, kind: str) -> list[str]:
    """The command of npm/sign_in.mjs: a client of the TypeScript SDK that signs in at `url` and calls `add`."""
    modules = CACHE / "npm/node_modules"
    need_path(modules / "@modelcontextprotocol/client", "npm's @modelcontextprotocol/client", REMEDY)
    return [str(need_node()), str(HERE / "npm/sign_in.mjs"), str(modules.parent), url, kind]


def mcp1_sign_in(url: str) -> list[str]:
    """The command of mcp1/sign_in.py: a client of the Python SDK 1.x that signs in at `url` and calls `add`."""
    return [str(need_path(MCP1_PYTHON, "the MCP SDK 1.x", REMEDY)), str(HERE / "mcp1/sign_in.py"), url]
