"""Clients that prove with each request that they hold the key of their token (DPoP), on gateways as users run them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from tests.conftest import GatewayFactory
from tests.dpop import KeyHolder
from tests.integration.raw_http import Answer, RawClient, ask, request
from tests.integration.test_api_keys import initialize
from tests.integration.test_sign_in import TlsProxy, jwt_toml
from tests.issuer import Issuer
from tests.servers import Gateway, aserving, free_port, modern_call, pool_toml, sdk2_replica
from tests.servers.faults import Exchange, FaultServer
from tests.servers.oauth import OidcProvider
from tests.servers.redis_server import RedisServer

EXTERNAL = "https://mcp.example.com/tools"
URL = f"{EXTERNAL}/mcp"


def dpop_toml(folder: Path, issuer: Issuer, *more: str, audience: str = URL) -> str:
    (folder / "jwks").write_bytes(issuer.jwks)
    return "\n".join(
        (
            "[pools.auth.inbound]",
            'type = "jwt"',
            *more,
            "[pools.auth.inbound.jwt]",
            f'issuers = [{{issuer = "{issuer.url}", audiences = ["{audience}"], jwks_file = "{folder}/jwks"}}]',
            "",
        )
    )


async def call(front: Gateway, shown: dict[str, str]) -> Answer:
    headers, body = modern_call("read")
    return await ask(front, request(body, headers | shown))


async def test_a_proof_holds_once_at_all_gateways_and_reaches_no_server(
    gateway: GatewayFactory, tmp_path: Path, keys: str
) -> None:
    issuer, holder = Issuer(), KeyHolder()
    token = issuer.token(aud=URL, cnf=holder.binding)
    async with aserving(RedisServer(tmp_path)) as (redis,), FaultServer() as server:
        sections = dpop_toml(tmp_path, issuer, 'dpop = "required"', "dpop_nonce = true")
        sections += f'[pools.cache]\ntype = "redis"\nredis_url = "{redis.address}"\nredis_timeout = "10s"\n'
        listener = f'external_url = "{EXTERNAL}"\n{keys}'
        pools = pool_toml(server.url, sections=sections)
        one, two = [await asyncio.to_thread(gateway, pools, listener=listener) for _ in range(2)]

        asked = await call(one, holder.headers(URL, token))
        assert asked.status == 401
        assert 'DPoP error="use_dpop_nonce"' in asked.headers["www-authenticate"]
        nonce = asked.headers["dpop-nonce"]
        shown = holder.headers(URL, token, nonce=nonce)
        assert (await call(one, shown)).status == 200
        for front in (one, two):
            again = await call(front, shown)
            assert again.status == 401
            assert 'error="invalid_dpop_proof"' in again.headers["www-authenticate"]
        assert (await call(two, holder.headers(URL, token, nonce=nonce))).status == 200
        assert (await call(one, {"Authorization": f"Bearer {token}"})).status == 401
        assert (await call(one, {"Authorization": f"Bearer {issuer.token(aud=URL)}"})).status == 401
        own = f"http://127.0.0.1:{one.port}/mcp"
        assert (await call(one, holder.headers(own, token, nonce=nonce))).status == 401
        assert len(server.calls("read")) == 2
        for exchange in server.requests:
            assert not {"dpop", "authorization"} & {name.lower() for name in exchange.headers}
        for front in (one, two):
            assert shown["DPoP"] not in front.log
            assert token not in front.log


async def test_one_connection_sends_a_proof_once_and_streams_and_ends_of_sessions_need_their_own(
    gateway: GatewayFactory, tmp_path: Path
) -> None:
    issuer, holder = Issuer(), KeyHolder()
    async with aserving(sdk2_replica("a")) as (server,):
        port = free_port()
        url = f"http://127.0.0.1:{port}/mcp"
        token = issuer.token(aud=url, cnf=holder.binding)
        sections = dpop_toml(tmp_path, issuer, 'dpop = "accepted"', audience=url)
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections), port=port)
        headers, body = initialize()
        async with RawClient(front) as client:
            opened = request(body, headers | holder.headers(url, token))
            await client.send(opened)
            first = await client.answer()
            assert first.status == 200
            await client.send(opened)
            assert (await client.answer()).status == 401, "the same head on the same connection"
        session = {"Mcp-Session-Id": first.headers["mcp-session-id"], "Mcp-Protocol-Version": "2025-06-18"}
        told = json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}).encode()
        assert (await ask(front, request(told, headers | session | holder.headers(url, token)))).status == 202

        def of_session(method: str, proven: str) -> bytes:
            more = {"Accept": "text/event-stream"} | session | holder.headers(url, token, method=proven)
            return request(b"", more, method=method)

        for method in ("GET", "DELETE"):
            assert (await ask(front, of_session(method, "POST"))).status == 401
        async with RawClient(front) as stream:
            await stream.send(of_session("GET", "GET"))
            assert (await stream.head())[0] == 200
        assert (await ask(front, of_session("DELETE", "DELETE"))).status in (200, 204)
        plain = {"Authorization": f"Bearer {issuer.token(aud=url)}"}
        assert (await ask(front, request(body, headers | plain))).status == 200, "accepted, not required"


async def test_behind_a_proxy_that_ends_tls_a_proof_is_for_the_url_that_clients_type(
    gateway: GatewayFactory, tmp_path: Path
) -> None:
    issuer, holder, behind = Issuer(), KeyHolder(), free_port()
    proxy = TlsProxy(tmp_path, behind)
    url = f"{proxy.external}/mcp"
    token = issuer.token(aud=url, cnf=holder.binding)
    async with aserving(proxy), FaultServer() as server:
        sections = dpop_toml(tmp_path, issuer, 'dpop = "required"', audience=url)
        listener = f'external_url = "{proxy.external}"'
        toml = pool_toml(server.url, sections=sections)
        await asyncio.to_thread(gateway, toml, listener=listener, port=behind)
        headers, body = modern_call("read")

        async def status(htu: str) -> int:
            async with (
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=proxy.trust)) as http,
                http.post(url, data=body, headers=headers | holder.headers(htu, token)) as response,
            ):
                await response.read()
                return response.status

        assert await status(url) == 200
        assert await status(f"http://127.0.0.1:{behind}/mcp") == 401


async def test_servers_that_check_tokens_themselves_get_the_proof_and_ask_for_nonces(
    gateway: GatewayFactory,
) -> None:
    async def behave(exchange: Exchange) -> None:
        seen: dict[str, Any] = {key.lower(): value for key, value in exchange.headers.items()}
        if seen.get("dpop") == "with-nonce":
            await exchange.respond(exchange.answer())
        else:
            challenge = [("WWW-Authenticate", 'DPoP error="use_dpop_nonce"'), ("DPoP-Nonce", "n1")]
            await exchange.respond({}, status="401 Unauthorized", headers=challenge)

    async with FaultServer(behave) as server:
        toml = pool_toml(server.url, sections='[pools.auth.inbound]\ntype = "passthrough"\n')
        front = await asyncio.to_thread(gateway, toml)
        asked = await call(front, {"Authorization": "DPoP t", "DPoP": "without"})
        assert (asked.status, asked.headers["dpop-nonce"]) == (401, "n1")
        assert (await call(front, {"Authorization": "DPoP t", "DPoP": "with-nonce"})).status == 200


async def test_a_token_that_a_certified_issuer_binds_to_a_key_is_of_use_with_that_key_only(
    gateway: GatewayFactory,
) -> None:
    port, secret = free_port(), "s3cret-of-the-worker"
    issuer, holder, url = OidcProvider(CLIENT_SECRET=secret), KeyHolder(), f"http://127.0.0.1:{port}/mcp"
    async with aserving(issuer), FaultServer() as server, aiohttp.ClientSession() as http:
        sections = jwt_toml(issuer.issuer).replace('type = "jwt"', 'type = "jwt"\ndpop = "required"')
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections), port=port)
        form = {"grant_type": "client_credentials", "scope": "mcp:use", "resource": url}
        endpoint = f"{issuer.issuer}/token"
        shown = {
            "DPoP": holder.proof(endpoint, "", ath=None),
            "Authorization": aiohttp.encode_basic_auth("worker", secret),
        }
        async with http.post(endpoint, data=form, headers=shown) as response:
            answer = await response.json()
        assert answer.get("token_type") == "DPoP", answer
        token = answer["access_token"]
        assert (await call(front, holder.headers(url, token))).status == 200
        assert (await call(front, KeyHolder().headers(url, token))).status == 401
        assert (await call(front, {"Authorization": f"Bearer {token}"})).status == 401
