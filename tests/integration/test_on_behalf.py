"""The identity of the client for servers: a token in its name, a signed header, or both."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.conftest import GatewayFactory
from tests.integration.raw_http import Answer, ask, request
from tests.issuer import RESOURCE, Issuer
from tests.servers import Gateway, modern_call, pool_toml
from tests.servers.faults import Exchange, FaultServer
from tests.servers.handshakes import Handshakes
from tests.servers.issuer import SECRET, FakeIssuer, TokenRequest
from tests.waiting import until

LEGACY = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-11-25",
}


def key_file(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def inbound(issuer: Issuer, folder: Path) -> str:
    (folder / "jwks.json").write_bytes(issuer.jwks)
    return f"""[pools.auth.inbound]
type = "jwt"
resource = "{RESOURCE}"
[[pools.auth.inbound.jwt.issuers]]
issuer = "{issuer.url}"
jwks_file = "{folder / "jwks.json"}"
"""


def exchanging(idp: FakeIssuer, folder: Path, *, actor: bool = False) -> str:
    (folder / "secret").write_text(SECRET)
    return f"""[pools.auth.outbound]
type = "token_exchange"
[pools.auth.outbound.token_exchange]
token_url = "{idp.token_url}"
client_id = "gateway"
client_secret_file = "{folder / "secret"}"
scopes = ["tools"]
audience = "the-servers"
actor = {str(actor).lower()}
"""


async def in_exchange(asked: TokenRequest) -> web.Response:
    """A token with its owner's name."""
    subject = asked.form.get("subject_token")
    name = "gateway" if subject is None else jwt.decode(subject, options={"verify_signature": False})["sub"]
    return web.json_response({"access_token": f"of-{name}", "token_type": "Bearer", "expires_in": 600})


async def call_as(front: Gateway, token: str, **more: str) -> Answer:
    headers, body = modern_call("write", None)
    return await ask(front, request(body, {**headers, "Authorization": f"Bearer {token}", **more}))


@pytest.fixture
def idp_of_clients() -> Issuer:
    return Issuer()


async def test_each_client_reaches_the_servers_with_a_token_of_its_own(
    gateway: GatewayFactory, idp_of_clients: Issuer, tmp_path: Path
) -> None:
    ann, bob = idp_of_clients.token("ann"), idp_of_clients.token("bob")
    async with FakeIssuer(answer=in_exchange) as idp, FaultServer() as server:
        sections = inbound(idp_of_clients, tmp_path) + exchanging(idp, tmp_path, actor=True)
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        answers = await asyncio.gather(*(call_as(front, token) for token in (ann, bob) * 5))
        assert [answer.status for answer in answers] == [200] * 10
        assert sorted(exchange.headers["authorization"] for exchange in server.calls()) == (
            ["Bearer of-ann"] * 5 + ["Bearer of-bob"] * 5
        )
        checks = {exchange.headers["authorization"] for exchange in server.requests if exchange.tool is None}
        assert checks == {"Bearer of-gateway"}
        headers, body = modern_call("write", None)
        assert (await ask(front, request(body, headers))).status == 401
    exchanges = [asked.form for asked in idp.requests if "subject_token" in asked.form]
    assert sorted(form["subject_token"] for form in exchanges) == sorted([ann, bob]), "each once"
    for form in exchanges:
        assert form["actor_token"] == "of-gateway"
        assert (form["scope"], form["audience"]) == ("tools", "the-servers")
    for secret in (ann, bob, "of-ann", "of-gateway", SECRET):
        assert secret not in front.log


async def test_a_client_whose_token_the_issuer_refuses_gets_nowhere_and_others_do(
    gateway: GatewayFactory, idp_of_clients: Issuer, tmp_path: Path
) -> None:
    async def refuses_ann(asked: TokenRequest) -> web.Response:
        answer = await in_exchange(asked)
        if b"of-ann" in bytes(answer.body):  # type: ignore[arg-type]
            return web.json_response({"error": "invalid_target"}, status=400)
        return answer

    async with FakeIssuer(answer=refuses_ann) as idp, FaultServer() as server:
        sections = inbound(idp_of_clients, tmp_path) + exchanging(idp, tmp_path)
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        refused = await call_as(front, idp_of_clients.token("ann"))
        assert (refused.status, refused.error["data"]["reason"]) == (502, "upstream_auth")
        assert (refused.error["data"]["delivered"], server.calls()) == ("no", [])
        assert (await call_as(front, idp_of_clients.token("bob"))).status == 200
        assert "invalid_target" in front.log


async def test_every_request_of_a_session_says_whose_it_is_also_when_the_session_moves(
    gateway: GatewayFactory, tmp_path: Path, idp_of_clients: Issuer
) -> None:
    """Requests of the gateway itself are marked as such; a client's own value of the header is dropped."""
    key = key_file(tmp_path / "key.pem")
    sections = inbound(idp_of_clients, tmp_path) + f'[pools.auth.outbound.identity]\nkey_file = "{key}"\n'
    first, second = Handshakes(), Handshakes()
    async with (
        FaultServer(first, everything=True) as a,
        FaultServer(second, everything=True) as b,
        aiohttp.ClientSession(headers=LEGACY) as http,
    ):
        front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url, sections=sections))
        shown = {"Authorization": f"Bearer {idp_of_clients.token('ann')}", "X-Mcppool-Identity": "forged"}
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
        async with http.post(front.url, json=message, headers=shown) as response:
            shown["Mcp-Session-Id"] = response.headers["Mcp-Session-Id"]
        message |= {"method": "tools/call", "params": {"name": "read", "arguments": {}}}
        for home in (first, second):  # both forget it: it has lived at one of them, and moves
            home.forgotten |= set(home.sessions)
        async with http.post(front.url, json=message, headers=shown) as response:
            assert "result" in await response.json()
        async with http.delete(front.url, headers=shown) as response:
            assert response.status == 200
        await until(lambda: any(exchange.method == "DELETE" for exchange in (*a.requests, *b.requests)), "it is ended")
        keys = {key["kid"]: key for key in json.loads((await asyncio.to_thread(front.get, "/jwks.json"))[1])["keys"]}

        def subject(exchange: Exchange) -> str:
            token = exchange.headers["x-mcppool-identity"]
            public = jwt.PyJWK(keys[jwt.get_unverified_header(token)["kid"]])
            claims: dict[str, str] = jwt.decode(token, public, ["ES256"], audience="demo", issuer="mcppool")
            return claims["sub"]

        ours = {"mcppool"}
        for server in (a, b):
            for exchange in server.requests:
                body = exchange.body if isinstance(exchange.body, dict) else {}
                name = body.get("params", {}).get("clientInfo", {}).get("name")
                if body.get("method") == "tools/call" or name == "c":
                    assert subject(exchange) == "ann", body
                else:
                    assert subject(exchange) in ours | {"ann"}, body
                assert "authorization" not in exchange.headers
