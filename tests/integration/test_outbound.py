"""How the gateway authenticates to servers: a token from a file, and access tokens from an issuer."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import mcppool
from mcppool.pipeline.pool import access_token
from tests.conftest import GatewayFactory
from tests.integration.raw_http import ask, tool_call
from tests.servers import aserving, pool_toml
from tests.servers.faults import Behaviour, Exchange, FaultServer, healthy
from tests.servers.handshakes import Handshakes
from tests.servers.issuer import SECRET, FakeIssuer, TokenRequest
from tests.servers.oauth import OidcProvider
from tests.waiting import until

LEGACY = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2025-11-25",
}


class Guarded:
    """A server that requires one of `tokens` in `Authorization`, and answers 401 without."""

    def __init__(self, *tokens: str, then: Behaviour = healthy) -> None:
        self.tokens = set(tokens)
        self.then = then
        self.seen: list[str | None] = []

    async def __call__(self, exchange: Exchange) -> None:
        given = exchange.headers.get("authorization")
        self.seen.append(given)
        if given in {f"Bearer {token}" for token in self.tokens}:
            await self.then(exchange)
        else:
            await exchange.respond(b'{"error":"invalid_token"}', status="401 Unauthorized")


@pytest.fixture
async def issuer() -> AsyncIterator[FakeIssuer]:
    async with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture
def secret(tmp_path: Path) -> str:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    return str(tmp_path / "secret")


def pool_of(server: FaultServer, outbound: Mapping[str, Any], **sections: Any) -> mcppool.Pool:
    return mcppool.Pool([server.url], auth={"outbound": outbound}, **sections)


def client_credentials(issuer: FakeIssuer, secret: str, **more: Any) -> dict[str, Any]:
    client = {"token_url": issuer.token_url, "client_id": "me", "client_secret_file": secret, **more}
    return {"type": "client_credentials", "client_credentials": client}


async def called(pool: mcppool.Pool, tool: str = "read") -> str:
    """The text of a call's result."""
    result = await pool.call_tool(tool, {})
    text: str = result.content[0].text  # type: ignore[union-attr]
    return text


async def test_every_request_of_every_kind_has_the_token_of_the_file(gateway: GatewayFactory, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("t-1\n")
    server_side = Handshakes()
    guarded = Guarded("t-1", "t-2", then=server_side)
    outbound = f'[pools.auth.outbound]\ntype = "token"\n[pools.auth.outbound.token]\ntoken_file = "{file}"\n'
    async with FaultServer(guarded, everything=True) as server, aiohttp.ClientSession(headers=LEGACY) as http:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=outbound))
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
        client = {"Authorization": "Bearer of-the-client", "X-Api-Key": "of-the-client"}
        async with http.post(front.url, json=message, headers=client) as response:
            session = {"Mcp-Session-Id": response.headers["Mcp-Session-Id"]}
        message |= {"method": "tools/call", "params": {"name": "read", "arguments": {}}}
        async with http.post(front.url, json=message, headers={**client, **session}) as response:
            assert "result" in await response.json()
        async with http.get(front.url, headers={**client, **session}) as response:
            assert response.status == 405
        file.write_text("t-2")
        guarded.tokens.discard("t-1")  # the call finds out that the file has changed
        async with http.post(front.url, json=message, headers={**client, **session}) as response:
            assert "result" in await response.json()
        async with http.delete(front.url, headers={**client, **session}) as response:
            assert response.status == 200
        assert {exchange.method for exchange in server.requests} == {"POST", "GET", "DELETE"}
        assert set(guarded.seen) == {"Bearer t-1", "Bearer t-2"}
        assert b"of-the-client" not in b"".join(str(exchange.headers).encode() for exchange in server.requests)
        shown = (await asyncio.to_thread(front.get, "/configz"))[1] + (
            await asyncio.to_thread(front.get, "/status.json")
        )[1]
    for secret in ("t-1", "t-2", "of-the-client"):
        assert f"Bearer {secret}" not in front.log
        assert f"Bearer {secret}" not in str(shown)


async def test_a_server_that_refuses_the_gateways_token_is_502_and_counted(
    gateway: GatewayFactory, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("wrong")
    token = f'[pools.auth.outbound]\ntype = "token"\n[pools.auth.outbound.token]\ntoken_file = "{tmp_path / "token"}"\n'
    async with FaultServer(Guarded("right"), everything=True) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=token))
        answer = await ask(front, tool_call("write"))
        assert (answer.status, answer.error["data"]["reason"], answer.error["data"]["httpStatus"]) == (
            502,
            "upstream_auth",
            401,
        )
        assert "www-authenticate" not in answer.headers
        metrics = (await asyncio.to_thread(front.get, "/metrics"))[1]
    assert 'mcppool_upstream_auth_failures_total{pool="demo"} 1.0' in str(metrics)
    assert f"id={answer.error['data']['requestId']}" in front.log


async def test_access_tokens_come_from_the_issuer_whose_metadata_names_the_endpoint(secret: str) -> None:
    async with FakeIssuer(path="/tenant") as issuer, FaultServer(Guarded("token-1"), everything=True) as server:
        spec = client_credentials(
            issuer, secret, scopes=("a", "b"), audience="tools", resource="https://mcp.example/mcp"
        )
        del spec["client_credentials"]["token_url"]
        spec["client_credentials"]["issuer"] = issuer.issuer
        async with pool_of(server, spec) as pool:
            assert await asyncio.gather(*(called(pool) for _ in range(20))) == ["fake"] * 20
    assert issuer.asked_for == ["/.well-known/oauth-authorization-server/tenant"]
    (asked,) = issuer.requests
    assert asked.basic == ("me", SECRET)
    assert asked.form == {
        "grant_type": "client_credentials", "scope": "a b", "audience": "tools", "resource": "https://mcp.example/mcp"
    }  # fmt: skip


async def test_a_private_key_proves_the_client_in_place_of_a_secret(issuer: FakeIssuer, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    client = {"token_url": issuer.token_url, "client_id": "me", "private_key_file": str(tmp_path / "key.pem")}
    async with FaultServer(Guarded("token-1"), everything=True) as server:
        outbound = {"type": "client_credentials", "client_credentials": client}
        async with pool_of(server, outbound) as pool:
            assert await called(pool) == "fake"
    form = issuer.requests[0].form
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    claims = jwt.decode(form["client_assertion"], key.public_key(), ["ES256"], audience=issuer.token_url)
    assert claims["sub"] == "me"


@pytest.mark.parametrize("proof", ["worker", "signer"])
async def test_a_certified_issuer_gives_tokens_for_a_secret_and_for_a_key(proof: str, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    (tmp_path / "secret").write_text(SECRET)
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())
    resource = "https://mcp.example/mcp"
    proofs = {
        "worker": {"client_secret_file": str(tmp_path / "secret")},
        "signer": {"private_key_file": str(tmp_path / "key.pem")},
    }
    issuer = OidcProvider(CLIENT_SECRET=SECRET, CLIENT_JWK=public)
    client = {"issuer": issuer.issuer, "client_id": proof, "resource": resource, "scopes": ["mcp:use"], **proofs[proof]}
    async with aserving(issuer), FaultServer() as server:
        async with pool_of(server, {"type": "client_credentials", "client_credentials": client}) as pool:
            assert await called(pool) == "fake"
        token = server.calls()[0].headers["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["iss"], claims["aud"], claims["client_id"]) == (issuer.issuer, resource, proof)
    assert claims["scope"] == "mcp:use"


async def test_a_revoked_token_costs_no_call(issuer: FakeIssuer, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_token, "MIN_AGE", 0.0)
    guarded = Guarded("token-1")
    async with FaultServer(guarded, everything=True) as server:
        async with pool_of(server, client_credentials(issuer, secret)) as pool:
            assert await called(pool) == "fake"
            guarded.tokens = {"token-2"}
            assert await asyncio.gather(*(called(pool, "write") for _ in range(10))) == ["fake"] * 10
        assert server.executed("write") == 10
    assert len(issuer.requests) == 2


async def refuses(_: TokenRequest) -> web.Response:
    return web.json_response({"error": "invalid_client", "error_description": f"not {SECRET}"}, status=401)


async def redirects(_: TokenRequest) -> web.Response:
    return web.Response(status=307, headers={"Location": "http://127.0.0.1:9/token"})


async def floods(_: TokenRequest) -> web.Response:
    return web.Response(body=b"x" * 1_000_000)


@pytest.mark.parametrize(
    ("answer", "why"),
    [(refuses, "HTTP 401 invalid_client"), (redirects, "HTTP 307"), (floods, "more than 65536 bytes")],
    ids=["refuses", "redirects", "floods"],
)
async def test_without_a_token_nothing_is_sent_and_the_reason_is_told(
    answer: Any, why: str, issuer: FakeIssuer, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    issuer.answer = answer
    caplog.set_level(logging.INFO)
    outbound = client_credentials(issuer, secret, client_secret_method="post")
    async with FaultServer() as server, pool_of(server, outbound) as pool:
        with pytest.raises(mcppool.CallFailed) as caught:
            await called(pool)
        assert caught.value.delivered == "no"
        assert "no access token" in str(caught.value)
        assert server.requests == [], "not even a check"
        issuer.answer = None

        async def works() -> bool:
            try:
                return await called(pool) == "fake"
            except mcppool.CallFailed:
                return False

        async with asyncio.timeout(90):
            while not await works():
                await asyncio.sleep(0.05)
    assert why in caplog.text
    assert SECRET not in caplog.text
    assert issuer.requests[0].form["client_secret"] == SECRET


def section_of(issuer: FakeIssuer, secret: str) -> str:
    return f"""[pools.auth.outbound]
type = "client_credentials"
[pools.auth.outbound.client_credentials]
token_url = "{issuer.token_url}"
client_id = "me"
client_secret_file = "{secret}"
"""


async def test_a_client_hears_that_the_gateway_has_no_token(
    gateway: GatewayFactory, issuer: FakeIssuer, secret: str
) -> None:
    issuer.answer = refuses
    async with FaultServer() as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=section_of(issuer, secret)))
        answer = await ask(front, tool_call("read"))
        assert (answer.status, answer.error["data"]["reason"]) == (502, "upstream_auth")
        assert (answer.error["data"]["delivered"], server.requests) == ("no", [])
        assert "invalid_client" in (await asyncio.to_thread(front.get, "/health"))[1]
    assert SECRET not in front.log


async def test_an_edit_that_asks_for_tokens_fails_no_call(
    gateway: GatewayFactory, issuer: FakeIssuer, secret: str
) -> None:
    """Calls wait for the first token; the endpoint stays."""
    async with FaultServer(healthy) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        assert (await ask(front, tool_call("read"))).status == 200
        issuer.gate.clear()
        front.edit(pool_toml(server.url, sections=section_of(issuer, secret)))
        await until(lambda: issuer.requests, "the edit is in force")
        calls = [asyncio.create_task(ask(front, tool_call("write"))) for _ in range(5)]
        await asyncio.sleep(0)
        issuer.gate.set()
        assert [answer.status for answer in await asyncio.gather(*calls)] == [200] * 5
        assert {exchange.headers.get("authorization") for exchange in server.calls("write")} == {"Bearer token-1"}
    assert json.dumps(SECRET) not in front.log
