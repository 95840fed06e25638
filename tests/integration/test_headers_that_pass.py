"""Which headers pass between clients and servers, and which do not."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from tests.conftest import GatewayFactory
from tests.integration.passing import serving
from tests.integration.raw_http import ask, request
from tests.servers import Gateway, modern_call, pool_toml
from tests.servers.faults import Behaviour, Exchange, FaultServer
from tests.waiting import until

STRANGERS = {
    "Authorization": "Bearer secret",
    "Cookie": "a=secret",
    "X-Api-Key": "secret",
    "X-Forwarded-User": "root",
    "X-Original-Url": "/admin",
    "Mcp_Session_Id": "stolen",
    "Transfer_Encoding": "chunked",
    "User-Agent": "a client",
}


OWN = {"host", "content-length", "accept-encoding", "user-agent"}


async def test_a_server_gets_the_headers_of_the_protocol_and_those_that_the_pool_lists(gateway: GatewayFactory) -> None:
    async with FaultServer() as server:
        served = await serving(gateway, pool_toml(server.url, sections='headers = {forward = ["X-Tenant"]}'))
        headers, body = modern_call("read")
        answer = await ask(served, request(body, headers | STRANGERS | {"X-Tenant": "blue", "Mcp-Param-Region": "eu"}))
        assert answer.status == 200
        (call,) = server.calls()
    assert call.headers.keys() == OWN | {name.lower() for name in headers} | {"x-tenant", "mcp-param-region"}
    assert call.headers["accept-encoding"] == "identity"
    assert call.headers["user-agent"].startswith("mcppool/")
    assert b"secret" not in str(call.headers).encode()


async def test_a_client_gets_none_of_a_servers_own_headers(gateway: GatewayFactory) -> None:
    async def chatty(exchange: Exchange) -> None:
        mine = [
            ("Set-Cookie", "a=b"),
            ("Location", "http://127.0.0.1:1/"),
            ("Access-Control-Allow-Origin", "*"),
            ("Clear-Site-Data", '"*"'),
            ("Server", "x"),
            ("X-Powered-By", "y"),
            ("Mcp-Session-Id", "theirs"),
            ("Cache-Control", "public, max-age=60"),
            ("WWW-Authenticate", "Bearer"),
        ]
        await exchange.respond(exchange.answer(), headers=mine, content_type="application/json; charset=utf-8")

    async with FaultServer(chatty) as server:
        served = await serving(gateway, pool_toml(server.url))
        headers, body = modern_call("read")
        answer = await ask(served, request(body, headers))
    assert answer.status == 200
    assert answer.headers == {
        "content-type": "application/json",
        "content-length": str(len(answer.body)),
    }


async def test_a_redirect_is_followed_nowhere_and_its_location_is_in_the_log_alone(gateway: GatewayFactory) -> None:
    def redirect(code: int) -> Behaviour:
        async def behave(exchange: Exchange) -> None:
            location = [("Location", f"http://user:secret@127.0.0.1:1/elsewhere-{code}?key=q-token")]
            await exchange.respond(b"<html>", status=f"{code} Moved", headers=location, content_type="text/html")

        return behave

    async with FaultServer() as server:
        served = await serving(gateway, pool_toml(server.url))
        for code in (300, 301, 302, 303, 305, 307, 308):
            server.behaviour = redirect(code)
            for tool in ("read", "write"):
                headers, body = modern_call(tool)
                answer = await ask(served, request(body, headers))
                assert answer.status == 502
                data = answer.error["data"]
                assert (data["reason"], data["delivered"]) == ("bad_upstream_answer", "no")
                assert "elsewhere" not in str(answer.headers) + answer.body.decode()
            await until(partial(logged, served, f"elsewhere-{code}"), "its Location is logged")
        assert "secret" not in served.log
        assert "q-token" not in served.log


def logged(served: Gateway, words: str) -> bool:
    return words in served.log


async def test_a_compressed_answer_is_named_as_such(gateway: GatewayFactory) -> None:
    async def compressed(exchange: Exchange) -> None:
        await exchange.respond(b"\x1f\x8b...", headers=[("Content-Encoding", "gzip")])

    async with FaultServer(compressed) as server:
        served = await serving(gateway, pool_toml(server.url))
        headers, body = modern_call("write")
        answer = await ask(served, request(body, headers))
    assert answer.error["data"]["reason"] == "bad_upstream_answer"
    await until(lambda: "content-encoding: gzip" in served.log, "it is logged")


async def test_headers_of_ours_go_with_calls_checks_and_the_catalog(gateway: GatewayFactory, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hunter-one\n")
    async with FaultServer() as server:
        mine = f'{{Authorization = {{value_file = "{token}", prefix = "Bearer "}}}}'
        pool = f'[[pools]]\nname = "demo"\nendpoints = [{{url = "{server.url}", headers = {mine}}}]\n'
        served = await serving(gateway, pool)
        headers, body = modern_call("read")
        assert (await ask(served, request(body, headers | STRANGERS))).status == 200
        assert {seen.headers.get("authorization") for seen in server.requests} == {"Bearer hunter-one"}
        token.write_text("hunter-two\n")
        async with asyncio.timeout(90):
            while server.calls()[-1].headers["authorization"] != "Bearer hunter-two":
                await ask(served, request(body, headers))
        assert "hunter-one" not in served.log
        assert "hunter-two" not in served.log
        assert "hunter-two" not in served.get("/configz")[1]
