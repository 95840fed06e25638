"""The parts of a client's request that reach a server, and the parts of a server's answer that reach a client."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from time import monotonic

from tests.conftest import GatewayFactory
from tests.integration.raw_http import ask, request
from tests.servers import Gateway, modern_call, modern_request, pool_toml
from tests.servers.faults import Behaviour, Exchange, FaultServer, healthy
from tests.waiting import until

LEGACY = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
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


PATIENT = """
[pools.circuit_breaker]
failure_threshold = 1000
[pools.outlier_detection]
consecutive_failures = 1000
"""


async def serving(gateway: GatewayFactory, pools: str) -> Gateway:
    """A gateway for servers that run in this process."""
    return await asyncio.to_thread(gateway, pools + PATIENT)


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


def says(status: str, payload: bytes, content_type: str) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await exchange.respond(payload, status=status, content_type=content_type)

    return behave


OUTSIDE_THE_PROTOCOL = [
    ("200 OK", b"<script>alert(1)</script>", "text/html"),
    ("200 OK", b"<script>alert(1)</script>", "application/json"),
    ("200 OK", b"{}", "application/javascript"),
    ("204 No Content", b"", "text/html"),
    ("206 Partial Content", b"<b>", "text/html"),
    ("226 IM Used", b"<b>", "application/xml"),
    ("304 Not Modified", b"", "text/html"),
    ("406 Not Acceptable", b"<b>", "text/html"),
    ("413 Too Large", b"<b>", "text/html"),
    ("599 Odd", b"<b>", "text/html"),
    ("999 Odd", b"<b>", "text/html"),
    ("200 OK", b"data: <script>\n\n", "text/event-stream"),
]


async def test_answers_outside_the_protocol_never_reach_a_client(gateway: GatewayFactory) -> None:
    async with FaultServer() as server:
        served = await serving(gateway, pool_toml(server.url))
        for status, payload, content_type in OUTSIDE_THE_PROTOCOL:
            server.behaviour = says(status, payload, content_type)
            headers, body = modern_call("write")
            answer = await ask(served, request(body, headers))
            assert answer.headers["content-type"] == "application/json", status
            assert answer.error["code"] in (-32600, -32603), status
            assert b"<" not in answer.body


async def test_an_answer_under_an_odd_status_reaches_a_client_under_one_that_it_knows(gateway: GatewayFactory) -> None:
    def odd(status: str, seen: int) -> Behaviour:
        async def behave(exchange: Exchange) -> None:
            error = {"code": -32602, "message": "no"}
            refusal = {"jsonrpc": "2.0", "id": exchange.body["id"], "error": error}
            await exchange.respond(exchange.answer() if seen == 200 else refusal, status=status)

        return behave

    async with FaultServer() as server:
        served = await serving(gateway, pool_toml(server.url))
        for status, seen in (("201 Created", 200), ("404 Not Found", 404), ("477 Odd", 400)):
            server.behaviour = odd(status, seen)
            headers, body = modern_call("write")
            answer = await ask(served, request(body, headers))
            assert (answer.status, answer.json["id"]) == (seen, 1)


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


async def legacy_session(served: Gateway, path: str = "/mcp") -> dict[str, str]:
    """The headers of a session's next request."""
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).encode()
    opened = await ask(served, request(body, LEGACY, path=path))
    return LEGACY | {"MCP-Protocol-Version": "2025-11-25", "Mcp-Session-Id": opened.headers["mcp-session-id"]}


def with_sessions(then: Behaviour = healthy) -> Behaviour:
    """A legacy server; everything but the handshake and checks meets `then`."""

    async def behave(exchange: Exchange) -> None:
        method = exchange.body.get("method") if isinstance(exchange.body, dict) else None
        if method == "server/discover":
            error = {"code": -32601, "message": "no"}
            await exchange.respond({"jsonrpc": "2.0", "id": exchange.body["id"], "error": error}, status="404 x")
        elif method == "initialize":
            await exchange.respond(exchange.answer(), headers=[("Mcp-Session-Id", "s-1")])
        elif method in ("ping", "tools/list", "notifications/initialized"):
            await healthy(exchange)
        else:
            await then(exchange)

    return behave


async def test_a_servers_reply_to_a_message_without_an_answer_does_not_reach_its_sender(
    gateway: GatewayFactory,
) -> None:
    async with FaultServer(with_sessions(), everything=True) as server:
        served = await serving(gateway, pool_toml(server.url))
        headers = await legacy_session(served)
        for status, payload in (
            ("307 Moved", b"<html>"),
            ("200 OK", b"<html>"),
            ("400 Bad", b"<html>"),
            ("500 Bad", b"<html>"),
            ("201 Created", b"<" * 200_000),
        ):
            server.behaviour = with_sessions(says(status, payload, "text/html"))
            for message in ({"method": "notifications/progress"}, {"id": 7, "result": {}}):
                answer = await ask(served, request(json.dumps({"jsonrpc": "2.0"} | message).encode(), headers))
                assert (answer.status, answer.body, answer.headers) == (202, b"", {"content-length": "0"}), status


async def test_a_get_that_gives_no_event_stream_is_not_allowed(gateway: GatewayFactory) -> None:
    async with FaultServer(with_sessions(), everything=True) as server:
        served = await serving(gateway, pool_toml(server.url))
        headers = await legacy_session(served)
        for status, payload, content_type in (
            ("200 OK", b"<html>", "text/html"),
            ("200 OK", b"{}", "application/json"),
            ("302 Found", b"", "text/html"),
            ("405 Method Not Allowed", b"<html>", "text/html"),
            ("403 Forbidden", b"<html>", "text/html"),
            ("503 Service Unavailable", b"<html>", "text/html"),
        ):
            server.behaviour = with_sessions(says(status, payload, content_type))
            answer = await ask(served, request(b"", headers, method="GET"))
            assert answer.status == 405, status
            assert "POST" in answer.headers["allow"]
            assert b"<" not in answer.body


async def test_the_query_of_a_client_reaches_the_server_with_each_request_of_a_session(
    gateway: GatewayFactory,
) -> None:
    async with FaultServer(with_sessions(), everything=True) as server:
        served = await serving(gateway, pool_toml(f"{server.url}?key=1"))
        path = "/mcp/?read_only=true&key=2"
        headers = await legacy_session(served, path)
        call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "read"}}).encode()
        await ask(served, request(call, headers, path=path))
        await ask(served, request(b"", headers, path=path, method="GET"))
        await ask(served, request(b"", headers, path=path, method="DELETE"))

        def paths() -> list[str]:
            return [
                seen.path
                for seen in server.requests
                if seen.method != "POST" or seen.tool is not None or seen.path.endswith("true")
            ]

        await until(lambda: len(paths()) >= 4, "all are at the server")
    assert paths() == ["/mcp?key=1&read_only=true"] * 4


async def test_clients_with_and_without_a_query_are_served_together(gateway: GatewayFactory) -> None:
    async with FaultServer() as server:
        served = await serving(gateway, pool_toml(server.url))
        headers, body = modern_call("read")
        paths = ["/mcp?a=1", "/mcp", "/mcp?a=1", "/mcp?b"]
        for path in paths:
            assert (await ask(served, request(body, headers, path=path))).status == 200
        assert [call.path for call in server.calls()] == paths


async def test_messages_without_an_answer_are_bounded_like_calls_and_apart_from_them(gateway: GatewayFactory) -> None:
    busy = asyncio.Event()
    at_once: list[int] = []
    there = 0

    async def slow(exchange: Exchange) -> None:
        nonlocal there
        there += 1
        at_once.append(there)
        try:
            await busy.wait()
        finally:
            there -= 1
        await healthy(exchange)

    bounds = """
[pools.connection_pool]
max_connections = 4
max_waiting = 20
[pools.limits.pool]
max_concurrent = 3
"""
    async with FaultServer(with_sessions(slow), everything=True) as server:
        served = await serving(gateway, pool_toml(server.url, sections=bounds))
        headers = await legacy_session(served)
        connected = max(1, server.connected)  # that of the handshake, which may have been closed
        said = json.dumps({"jsonrpc": "2.0", "method": "notifications/said", "params": {"name": "x"}}).encode()
        answered = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {}}).encode()
        messages = [asyncio.create_task(ask(served, request(body, headers))) for body in [said, answered] * 100]
        await until(lambda: sum(task.done() for task in messages) >= 150, "more than wait are turned away")
        await until(lambda: there == 4, "two of each kind are at the server")
        listed = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}).encode()
        assert (await ask(served, request(listed, headers))).json["result"]["tools"], "a call does not wait for them"
        assert server.connected <= connected + 5
        busy.set()
        assert {(await task).status for task in messages} == {202}
    assert max(at_once) == 4


async def test_messages_without_an_answer_have_the_rate_of_calls_and_do_not_use_it_up(gateway: GatewayFactory) -> None:
    rate = "[pools.rate_limit.pool]\nrequests_per_second = 1\nburst = 3\n[pools.connection_pool]\nmax_waiting = 2\n"
    async with FaultServer(with_sessions(), everything=True) as server:
        served = await serving(gateway, pool_toml(server.url, sections=rate))
        headers = await legacy_session(served)
        body = json.dumps({"jsonrpc": "2.0", "method": "notifications/said"}).encode()

        def arrived() -> int:
            return sum((seen.body or {}).get("method") == "notifications/said" for seen in server.requests)

        began = monotonic()
        answers = await asyncio.gather(*[ask(served, request(body, headers)) for _ in range(30)])
        assert {answer.status for answer in answers} == {202}
        await until(lambda: arrived() >= 3, "those that the rate admits are at the server")
        assert arrived() <= 12 + monotonic() - began
        listed = json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}).encode()
        assert "result" in (await ask(served, request(listed, headers))).json


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


def event(size: int) -> Behaviour:
    """Answers with one event that holds a text of so many bytes."""

    async def behave(exchange: Exchange) -> None:
        answer = exchange.answer()
        answer["result"]["content"] = [{"type": "text", "text": "x" * size}]
        data = b"data: " + json.dumps(answer).encode() + b"\n\n"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
        await exchange.send(head % len(data) + data)

    return behave


async def test_an_event_may_be_as_large_as_an_answer_and_the_limit_is_the_pools(gateway: GatewayFactory) -> None:
    async with FaultServer(event(17 << 20)) as server:
        headers, body = modern_call("write")
        served = await serving(gateway, pool_toml(server.url))
        assert len((await ask(served, request(body, headers))).body) > 17 << 20
        served = await serving(gateway, pool_toml(server.url, sections='[pools.limits]\nmax_answer = "1MiB"\n'))
        said = (await ask(served, request(body, headers))).body  # its beginning has gone to the client by then
        void, _, error = said.rpartition(b"data: ")
        assert len(said) < 2 << 20
        assert void.endswith(b"\nevent: incomplete\n\nevent: message\n")
        assert json.loads(error)["error"]["data"]["reason"] == "bad_upstream_answer"
        server.behaviour = event(1000)
        assert (await ask(served, request(body, headers))).status == 200


UNUSUAL_JSON = [
    rb'"text":"\ud83d"',
    rb'"text":"\udc00 \ud83d\ude00 \\ud83d"',
    b'"n":' + b"9" * 5000,
    b'"n":-1e999999',
    b'"deep":' + b"[" * 900 + b"]" * 900,
    b'"deep":' + b"[" * 984 + b"]" * 984,
    b'"ttlMs":' + b"9" * 5000 + b',"cacheScope":"private"',
    b'"ttlMs":' + b"9" * 4000 + b',"cacheScope":"public"',
]


async def test_unusual_json_passes_as_bytes_both_ways_and_is_no_defect(gateway: GatewayFactory) -> None:
    said = b""

    async def says_it(exchange: Exchange) -> None:
        id = json.dumps(exchange.body["id"]).encode()
        await exchange.respond(
            b'\xef\xbb\xbf{"jsonrpc":"2.0","id":%b,"result":{"resultType":"complete",%b}}' % (id, said)
        )

    caching = '[pools.cache]\ntype = "memory"\n[pools.catalog]\nuniform = true\n[pools.tools.write]\ncache_ttl = "1h"\n'
    async with FaultServer(says_it, everything=True) as server:
        server.everything = False
        served = await serving(gateway, pool_toml(server.url, sections=caching))
        server.everything = True
        for number, said in enumerate(UNUSUAL_JSON):
            for request_of in (modern_call("write", {"x": 1}), modern_request("prompts/list")):
                headers, body = request_of
                body = body.replace(b'"x":1', said if len(said) < 4300 else b'"x":2')  # Python reads no more digits
                for _ in range(2):
                    answer = await ask(served, request(body, headers, path=f"/mcp?{number}"))
                    assert answer.status in (200, 400, 502), said[:40]
                    assert b"efect" not in answer.body
                    if said[:6] != b'"ttlMs' and b"[" * 984 not in said:
                        assert said in answer.body, said[:40]
                if server.requests[-1].tool is not None and answer.status == 200 and len(said) < 4300:
                    assert said in server.requests[-1].raw
    assert "defect" not in served.log
