"""The parts of a client's request that reach a server, and the parts of a server's answer that reach a client."""

from __future__ import annotations

import json

from tests.conftest import GatewayFactory
from tests.integration.passing import legacy_session, says, serving, with_sessions
from tests.integration.raw_http import ask, request
from tests.servers import modern_call, modern_request, pool_toml
from tests.servers.faults import Behaviour, Exchange, FaultServer
from tests.waiting import until

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
