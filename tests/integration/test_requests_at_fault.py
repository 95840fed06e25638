"""A server's 4xx is about the request: the client gets that answer, and other clients are not affected."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.raw_http import ask, tool_call
from tests.integration.raw_session import RawSession, call
from tests.servers import Gateway, pool_toml
from tests.servers.fault_replica import FaultReplica
from tests.servers.faults import Behaviour, Exchange, FaultServer, healthy, status
from tests.servers.process import free_port

CALLS = 12
SECTIONS = """
[pools.circuit_breaker]
failure_threshold = 3
[pools.outlier_detection]
consecutive_failures = 3
"""


def says(status: str, payload: Any = b"", content_type: str = "application/json", **headers: str) -> Behaviour:
    """Answers with this status, and with an error under the request's own id or under another."""

    async def behave(exchange: Exchange) -> None:
        body = payload
        if isinstance(payload, dict):
            own = exchange.body["id"] if payload.get("id") == "the request's" else payload.get("id")
            body = json.dumps({**payload, "id": own}).encode()
        lines = [(name.replace("_", "-"), value) for name, value in headers.items()]
        await exchange.respond(body, status=status, headers=lines, content_type=content_type)

    return behave


def error(code: int, message: str, id: str | None = "the request's", **more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, **more}}


OURS = {
    "400, nothing": says("400 Bad Request"),
    "401, JSON that is no JSON-RPC": says("401 Unauthorized", b'{"error":"invalid_token"}', WWW_Authenticate="Bearer"),
    "403, HTML": says("403 Forbidden", b"<html>secret.internal</html>", "text/html"),
    "404, text": says("404 Not Found", b"404 page not found\n", "text/plain"),
    "405": says("405 Method Not Allowed", Allow="GET"),
    "406, text": says("406 Not Acceptable", b"Accept must contain both", "text/plain"),
    "409, a JSON-RPC error without a code": says("409 Conflict", b'{"jsonrpc":"2.0","id":1,"error":"no"}'),
    "410, deep JSON": says("410 Gone", b"[" * 5000),
    "413": says("413 Request Entity Too Large", b"x" * 200_000, "text/plain"),
    "415, a large error": says("415 Unsupported Media Type", json.dumps(error(-32600, "x" * 300_000)).encode()),
    "418": says("418 I'm a teapot", b"\xff\xfe", "application/json"),
    "422, FastAPI's": says("422 Unprocessable Entity", b'{"detail":[{"loc":["body"]}]}'),
    "431": says("431 Request Header Fields Too Large"),
    "451": says("451 Unavailable For Legal Reasons", b"event: x\n\n", "text/event-stream"),
    "499, of no standard": says("499 Whatever"),
}
THEIRS = {
    "400, its own id": says("400 Bad Request", error(-32600, "Bad Request: x", "server-error", data={"a": [1]})),
    "400, no id": says("400 Bad Request", error(-32600, "Bad Request: x", None, data={"a": [1]})),
    "409, the request's id": says("409 Conflict", error(-32600, "Bad Request: x", data={"a": [1]})),
    "404, the request's id": says("404 Not Found", error(-32600, "Bad Request: x", data={"a": [1]})),
}


async def failures(front: Gateway) -> list[tuple[str, int, int]]:
    pool = json.loads((await asyncio.to_thread(front.get, "/status.json"))[1])["pools"][0]
    assert pool["breakers"] == []
    assert not pool["retries"]
    return [(e["state"], e["failures"], e["ejections"]) for e in pool["endpoints"]]


@pytest.mark.parametrize("tool", ["write", "read"])
@pytest.mark.parametrize("what", OURS)
async def test_a_status_about_the_request_is_an_answer_without_effect_on_others(
    what: str, tool: str, gateway: GatewayFactory
) -> None:
    async with FaultServer(OURS[what]) as a, FaultServer(OURS[what]) as b:
        front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url, sections=SECTIONS))
        answers = [await ask(front, tool_call(tool, request_id=n)) for n in range(CALLS)]
        assert len(a.calls()) + len(b.calls()) == CALLS, "none is repeated"
        assert await failures(front) == [("available", 0, 0)] * 2
        a.behaviour = b.behaviour = healthy
        assert (await ask(front, tool_call(tool))).status == 200
    wanted = int(what[:3])
    shown = 400 if wanted in (410, 418, 451, 499) else wanted  # no status outside the protocol reaches a client
    shown = 502 if wanted in (401, 403) else shown  # those are about the gateway's credentials
    assert [answer.status for answer in answers] == [shown] * CALLS
    for n, answer in enumerate(answers):
        data = answer.error["data"]
        assert (answer.json["id"], answer.error["code"], data["httpStatus"]) == (n, -32603, wanted)
        assert data["reason"] == ("upstream_auth" if wanted in (401, 403) else "request_rejected")
        assert (data["delivered"], data["attempts"]) == ("yes", 1)
        assert f"HTTP {wanted}" in answer.error["message"]
        assert "secret.internal" not in answer.body.decode()
        assert "www-authenticate" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("what", THEIRS)
async def test_the_servers_own_error_reaches_the_client_under_its_own_id(what: str, gateway: GatewayFactory) -> None:
    async with FaultServer(THEIRS[what]) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SECTIONS))
        answers = [await ask(front, tool_call("write", request_id=f"call {n}")) for n in range(CALLS)]
        assert await failures(front) == [("available", 0, 0)]
    own = {"code": -32600, "message": "Bad Request: x", "data": {"a": [1]}}
    assert [answer.status for answer in answers] == [int(what[:3])] * CALLS
    assert [answer.json for answer in answers] == [
        {"jsonrpc": "2.0", "id": f"call {n}", "error": own} for n in range(CALLS)
    ]


async def test_an_answer_that_breaks_off_after_its_status_is_still_about_the_request(gateway: GatewayFactory) -> None:
    async def cut(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 413 Too Large\r\nContent-Type: text/plain\r\nContent-Length: 90000\r\n\r\n")
        await exchange.send(b"x" * 70_000)
        exchange.close()

    async with FaultServer(cut) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SECTIONS))
        assert {(await ask(front, tool_call("read"))).status for _ in range(CALLS)} == {413}
        assert await failures(front) == [("available", 0, 0)]


@pytest.mark.parametrize("line", ["408 Request Timeout", "500 Internal Server Error"])
async def test_a_status_that_is_not_about_the_request_is_still_a_fault(line: str, gateway: GatewayFactory) -> None:
    async with FaultServer(status(line)) as a, FaultServer(status(line)) as b:
        front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url, sections=SECTIONS))
        answer = await ask(front, tool_call("read"))
        assert (answer.status, answer.error["data"]["reason"]) == (502, "upstream_error")
        assert a.calls()
        assert b.calls()


async def test_a_status_that_the_pool_names_as_a_refusal_is_one(gateway: GatewayFactory) -> None:
    sections = SECTIONS + "[pools.retry_policy]\nrefused_statuses = [409, 503]\n"
    for line in ("409 Conflict", "503 Service Unavailable"):
        async with FaultServer(status(line)) as a, FaultServer() as b:
            front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url, sections=sections))
            assert [(await ask(front, tool_call("write"))).status for _ in range(6)] == [200] * 6
            assert len(b.calls()) == 6


LEGACY = {
    "401": OURS["401, JSON that is no JSON-RPC"],
    "403": OURS["403, HTML"],
    "422": OURS["422, FastAPI's"],
    "400": THEIRS["400, its own id"],
}


@pytest.mark.parametrize("wanted", LEGACY)
async def test_a_legacy_client_gets_it_in_the_only_form_that_it_reads(
    wanted: str, gateway: GatewayFactory, tmp_path: Any
) -> None:
    async with FaultReplica("a", free_port(), tmp_path / "ledger.jsonl") as server, aiohttp.ClientSession() as http:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SECTIONS))
        session = RawSession(http)
        await session.open(front)
        server.behaviour = LEGACY[wanted]
        for _ in range(CALLS):
            code, answer = await session.post(front, call("write"))
            assert code == 200
            if wanted == "400":
                assert answer["error"]["message"] == "Bad Request: x"
            else:
                assert answer["error"]["data"]["httpStatus"] == int(wanted)
        server.behaviour = healthy
        assert "result" in (await session.post(front, call("write")))[1]
        assert await failures(front) == [("available", 0, 0)]


async def test_a_404_about_the_method_does_not_end_a_session(gateway: GatewayFactory, tmp_path: Any) -> None:
    async with FaultReplica("a", free_port(), tmp_path / "ledger.jsonl") as server, aiohttp.ClientSession() as http:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SECTIONS))
        session = RawSession(http)
        await session.open(front)
        server.behaviour = says("404 Not Found", error(-32601, "Method not found"))
        code, answer = await session.post(front, call("write"))
        assert (code, answer["error"]["message"]) == (200, "Method not found")
        server.behaviour = says("404 Not Found", b"nobody here", "text/plain")
        code, answer = await session.post(front, call("write"))
        assert (code, answer["error"]["data"]["reason"]) == (200, "request_rejected"), "the server knows the session"
        server.behaviour = healthy
        assert "result" in (await session.post(front, call("write")))[1]
