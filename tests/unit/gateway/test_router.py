"""The router: paths and targets, and the number of open streams."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from mcppool.gateway.allowed_hosts import AllowedHosts
from mcppool.gateway.http import read_scheduler
from mcppool.gateway.http.client_caps import UNLIMITED
from mcppool.gateway.router import Router
from mcppool.observe.limited_log import LimitedLog
from mcppool.observe.logs import get_logger
from mcppool.observe.metrics import GatewayMetrics, PoolMetrics
from mcppool.observe.recent_events import RecentEvents
from mcppool.pipeline.access_log import AccessLog
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.settings import Settings
from mcppool.policy.call_record import CallRecord
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec import PoolSpec
from tests.servers import modern_call, modern_request
from tests.unit.gateway.http.driving import Wire


class Pipeline:
    """In place of the pipeline: records arrivals; listeners stay until they go or the gateway ends."""

    def __init__(self) -> None:
        self.served: list[tuple[str, Call]] = []

    async def serve(self, pool: str, call: Call, reply: Reply, outcome: Outcome) -> None:
        self.served.append((pool, call))
        if call.request.method == "subscriptions/listen":
            reply.begin(200, b"content-type: text/event-stream\r\n")
            await asyncio.Event().wait()
        reply.whole(200, b"", b"")


@pytest.fixture
def pipeline() -> Pipeline:
    AT_WORK.append(Pipeline())
    return AT_WORK[-1]


AT_WORK: list[Pipeline] = []
"""The pipeline of the test that runs is the last one."""


def pool_of(name: str, forward: tuple[str, ...]) -> Any:
    """The parts of a pool that the router uses."""

    async def serve(call: Call, reply: Reply, outcome: Outcome) -> None:
        await AT_WORK[-1].serve(name, call, reply, outcome)

    def begin(call: Call, reply: Reply, outcome: Outcome, _caller: object) -> Any:
        return serve(call, reply, outcome)

    settings = Settings(PoolSpec.model_validate({"name": name, "endpoints": ["http://127.0.0.1:1/mcp"]}))
    settings.forwarded = frozenset(forward)
    log = AccessLog(name, PoolMetrics(name), CallRecord(), LimitedLog(get_logger("call"), name), RecentEvents())
    access = SimpleNamespace(challenge=None, still_allows=lambda call, principal: True)
    return SimpleNamespace(
        name=name,
        settings=settings,
        attendance=None,
        serve=serve,
        begin=begin,
        access=access,
        access_log=log,
    )


def make_front(
    *names: str, memory: MemoryBudget | None = None, forward: tuple[str, ...] = (), origins: tuple[str, ...] = ()
) -> Router:
    front = Router(GatewayMetrics(), AllowedHosts("127.0.0.1", (), origins), memory or MemoryBudget())
    front.serve_pools({name: pool_of(name, forward) for name in names})
    return front


def post(target: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Host: localhost:80", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/mcp", 200),
        ("/mcp?session=1", 200),
        ("/one/mcp", 200),
        ("http://localhost:80/mcp", 200),
        ("HTTPS://LOCALHOST:80/one/mcp?x", 200),
        ("http://evil.example/mcp", 400),
        ("http://localhost:80", 404),
        ("/", 404),
        ("/mcp/", 200),
        ("/one/mcp/?x=1", 200),
        ("http://localhost:80/mcp/", 200),
        ("/mcp//", 404),
        ("//mcp", 404),
        ("/two/mcp", 404),
        ("/%6dcp", 404),
    ],
)
async def test_a_target_names_a_pool_by_its_path(pipeline: Pipeline, target: str, status: int) -> None:
    wire = Wire(make_front("one").handle)
    await wire.say(post(target, *modern_call("echo")))
    assert wire.statuses == [status]
    assert [name for name, _ in pipeline.served] == ["one"] * (status == 200)


async def test_the_query_of_a_target_goes_with_its_call(pipeline: Pipeline) -> None:
    headers, body = modern_call("echo")
    wire = Wire(make_front("one").handle)
    for target in ("/mcp?a=1&b=%20", "/mcp", "/mcp/?c", "http://localhost:80/one/mcp?d=/?e"):
        await wire.say(post(target, headers, body))
    assert [call.query for _, call in pipeline.served] == [b"a=1&b=%20", b"", b"c", b"d=/?e"]


async def test_with_two_pools_the_short_path_is_nobodys(pipeline: Pipeline) -> None:
    wire = Wire(make_front("one", "two").handle)
    await wire.say(post("/mcp", *modern_call("echo")) + post("/two/mcp", *modern_call("echo")))
    assert wire.statuses == [404, 200]
    assert [name for name, _ in pipeline.served] == ["two"]


def lines_of(forward: bytes) -> dict[bytes, bytes]:
    lines = [line.partition(b": ") for line in forward.removesuffix(b"\r\n").split(b"\r\n")]
    assert len({name for name, _, _ in lines}) == len(lines), "no header is sent twice"
    return {name: value for name, _, value in lines}


STRANGERS = {
    "Authorization": "Bearer secret",
    "Cookie": "secret",
    "Upgrade": "h2c",
    "TE": "trailers",
    "X-Api-Key": "secret",
    "X-Forwarded-User": "root",
    "X-Original-Url": "/admin",
    "X-Http-Method-Override": "DELETE",
    "Mcp_Session_Id": "stolen",
    "Mcp_Name": "act",
    "Content-Encoding": "gzip",
    "Range": "bytes=0-1",
    "User-Agent": "x",
    "X-Tenant": "blue",
}


async def test_only_headers_of_the_protocol_reach_a_server(pipeline: Pipeline) -> None:
    headers, body = modern_call("echo")
    more = {"Mcp-Param-Region": "eu", "Traceparent": "00-1-2-01", "Accept-Language": "de"}
    await Wire(make_front("one").handle).say(post("/mcp", headers | STRANGERS | more, body))
    ((_, call),) = pipeline.served
    sent = lines_of(call.forward)
    assert {name.decode() for name in sent} == {
        "content-type", "accept", "accept-language", "mcp-protocol-version", "mcp-method", "mcp-name",
        "mcp-param-region", "traceparent",
    }  # fmt: skip
    assert sent[b"mcp-name"] == b"echo"


async def test_a_pool_lists_further_headers_for_its_servers(pipeline: Pipeline) -> None:
    headers, body = modern_call("echo")
    front = make_front("one", forward=("x-tenant", "user-agent"))
    await Wire(front.handle).say(post("/mcp", headers | STRANGERS, body))
    ((_, call),) = pipeline.served
    sent = lines_of(call.forward)
    assert (sent[b"x-tenant"], sent[b"user-agent"]) == (b"blue", b"x")
    assert b"x-api-key" not in sent


async def test_another_list_holds_from_the_next_request_on(pipeline: Pipeline) -> None:
    headers, body = modern_call("echo")
    front = make_front("one")
    wire = Wire(front.handle)
    await wire.say(post("/mcp", headers | {"X-Tenant": "blue"}, body))
    next(iter(front._routes.values())).pool.settings.forwarded = frozenset({"x-tenant"})
    await wire.say(post("/mcp", headers | {"X-Tenant": "blue"}, body))
    assert [b"x-tenant" in lines_of(call.forward) for _, call in pipeline.served] == [False, True]


async def test_connection_removes_listed_headers_and_none_of_the_protocol(pipeline: Pipeline) -> None:
    headers, body = modern_call("echo")
    front = make_front("one", forward=("x-tenant",))
    named = ", ".join(["keep-alive", "X-Tenant", *headers, "Content-Type", "Accept"])
    await Wire(front.handle).say(post("/mcp", headers | {"Connection": named, "X-Tenant": "blue"}, body))
    ((_, call),) = pipeline.served
    sent = lines_of(call.forward)
    assert b"x-tenant" not in sent
    assert {b"content-type", b"accept", b"mcp-method", b"mcp-name", b"mcp-protocol-version"} <= sent.keys()


@pytest.mark.parametrize("charset", ["", "; charset=utf-7", "; charset=utf-16"])
async def test_a_server_gets_the_content_type_of_json(pipeline: Pipeline, charset: str) -> None:
    headers, body = modern_call("echo")
    await Wire(make_front("one").handle).say(
        post("/mcp", headers | {"Content-Type": f"application/json{charset}"}, body)
    )
    ((_, call),) = pipeline.served
    assert lines_of(call.forward)[b"content-type"] == b"application/json"


async def test_routing_headers_of_a_legacy_request_do_not_reach_servers(pipeline: Pipeline) -> None:
    headers = {
        "Content-Type": "application/json",
        "MCP-Protocol-Version": "2025-11-25",
        "Mcp-Method": "tools/list",
        "Mcp-Name": "act",
        "Mcp-Param-Region": "eu",
    }
    await Wire(make_front("one").handle).say(post("/mcp", headers, b'{"jsonrpc":"2.0","id":1,"method":"ping"}'))
    ((_, call),) = pipeline.served
    assert lines_of(call.forward).keys() == {b"content-type", b"mcp-protocol-version"}


@pytest.mark.parametrize(
    "name",
    [
        "Mcp-Name",
        "Mcp-Method",
        "MCP-Protocol-Version",
        "Mcp-Param-Region",
        "Mcp-Session-Id",
        "Last-Event-ID",
        "Content-Type",
    ],
)
@pytest.mark.parametrize("verb", ["POST", "GET", "DELETE"])
@pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25"])
async def test_a_header_that_has_one_value_is_refused_in_two_lines_even_where_both_agree(
    pipeline: Pipeline, name: str, verb: str, version: str
) -> None:
    headers, body = modern_call("echo")
    headers |= {"MCP-Protocol-Version": version, "Mcp-Param-Region": "eu", "Mcp-Session-Id": "s", "Last-Event-ID": "1"}
    value = headers[next(key for key in headers if key.lower() == name.lower())]
    twice = post("/mcp", headers | {name.swapcase(): value}, body).replace(b"POST", verb.encode(), 1)
    wire = Wire(make_front("one").handle)
    await wire.say(twice)
    assert wire.statuses == [400]
    assert b"-32020" in wire.said
    assert pipeline.served == []


APP = {"Origin": "https://app.example"}


async def test_of_two_origins_none_is_believed(pipeline: Pipeline) -> None:
    headers, body = modern_call("echo")
    for first, second in (("app", "evil"), ("evil", "app"), ("app", "app")):
        two = {"Origin": f"https://{first}.example", "oRIGIN": f"https://{second}.example"}
        wire = Wire(make_front("one", origins=("https://app.example",)).handle)
        await wire.say(post("/mcp", headers | two, body))
        assert wire.statuses[0] in (400, 403)
        assert b"access-control" not in wire.said
    assert pipeline.served == []


async def test_a_malformed_request_does_not_get_the_cors_headers_of_the_one_before(pipeline: Pipeline) -> None:
    headers, body = modern_call("echo")
    wire = Wire(make_front("one", origins=("https://app.example",)).handle)
    await wire.say(post("/nowhere", headers | APP, body))
    assert b"access-control-allow-origin: https://app.example" in wire.said
    before = len(wire.said)
    await wire.say(b"NONSENSE\r\n\r\n")
    assert wire.statuses == [404, 400]
    assert b"access-control" not in wire.said[before:]


LISTEN = post("/mcp", *modern_request("subscriptions/listen", {"notifications": {}}, request_id="mine"))


def refusal(wire: Wire) -> dict[str, Any]:
    refused: dict[str, Any] = json.loads(wire.said.rpartition(b"\r\n\r\n")[2])
    return refused


async def test_one_stream_too_many_is_refused_until_another_ends(pipeline: Pipeline) -> None:
    front = make_front("one")
    caps = replace(UNLIMITED, streams=1)
    first, second, third = (Wire(front.handle, caps=caps) for _ in range(3))
    first.connection.data_received(LISTEN)
    await second.say(LISTEN)
    assert first.statuses == [200]
    assert second.statuses == [503]
    refused = refusal(second)
    assert (refused["id"], refused["error"]["data"]["reason"]) == ("mine", "too_many_streams")
    assert "listener.max_streams" in refused["error"]["message"]
    await second.say(post("/mcp", *modern_call("echo")))
    assert second.statuses == [503, 200], "calls that finish by themselves do not count"
    first.transport.close()
    await second.settle()
    third.connection.data_received(LISTEN)
    await second.settle()
    assert third.statuses == [200]
    third.connection.cut()
    await second.settle()
    assert third.said.endswith(b"0\r\n\r\n")
    assert b'"resultType":"complete"' in third.said


async def test_one_client_cannot_have_all_streams(pipeline: Pipeline) -> None:
    front = make_front("one")
    shared = Wire(front.handle, caps=replace(UNLIMITED, streams=10, streams_per_client=2), peer="10.0.0.1")
    greedy = [shared, *(shared.another("10.0.0.1") for _ in range(2))]
    for wire in greedy:
        wire.connection.data_received(LISTEN)
        await wire.settle()
    assert [wire.statuses for wire in greedy] == [[200], [200], [503]]
    assert "listener.max_streams_per_client" in refusal(greedy[-1])["error"]["message"]
    other = shared.another("10.0.0.2")
    other.connection.data_received(LISTEN)
    await other.settle()
    assert other.statuses == [200]
    for wire in [*greedy, other]:
        wire.transport.close()
        await wire.settle()


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_while_memory_is_full_new_calls_are_refused_and_calls_in_flight_go_on(
    pipeline: Pipeline, era: str
) -> None:
    memory = MemoryBudget(100 << 20, base=50 << 20)
    front = make_front("one", memory=memory)
    memory.watch(101 << 20)
    call = modern_call("echo", request_id="mine") if era == "modern" else legacy({"id": "mine", "method": "tools/list"})
    wire = Wire(front.handle)
    await wire.say(post("/mcp", *call))
    assert wire.statuses == [503 if era == "modern" else 200]
    refused = refusal(wire)
    assert (refused["id"], refused["error"]["data"]["reason"], refused["error"]["data"]["delivered"]) == (
        "mine",
        "overloaded",
        "no",
    )
    assert "limits.memory" in refused["error"]["message"]
    assert wire.metrics.turned_away == {"memory": 1}
    assert pipeline.served == []
    for message in ({"method": "notifications/cancelled", "params": {"requestId": 1}}, {"id": 7, "result": {}}):
        await wire.say(post("/mcp", *legacy(message)))
    assert [call.request.kind for _, call in pipeline.served] == ["notification", "response"]
    memory.watch(99 << 20)
    await wire.say(post("/mcp", *call))
    assert wire.statuses[-1] == 200


@pytest.mark.parametrize("where", ["first", "last"])
@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_body_that_memory_has_no_room_for_is_refused_under_its_own_id(
    pipeline: Pipeline, era: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client would wait for an answer without the id for ever."""
    monkeypatch.setattr(read_scheduler, "DISCARD_EVERY", 0.0)
    front = make_front("one")
    text = "x" * 500_000
    if era == "modern":
        headers, body = modern_call("echo", request_id="mine", arguments={"text": text})
    else:
        headers, body = legacy({"id": "mine", "method": "tools/call", "params": {"name": "echo", "arguments": text}})
    message = json.loads(body)
    if where == "last":
        message["id"] = message.pop("id")
    body = json.dumps(message).encode()
    caps = replace(UNLIMITED, memory_per_client=200_000)
    for cut in (1000, 100_000, len(body)):
        wire = Wire(front.handle, max_body=1 << 20, caps=caps)
        data = post("/mcp", headers, body)
        await wire.say([data[at : at + cut] for at in range(0, len(data), cut)])
        assert wire.statuses == [503 if era == "modern" else 200], cut
        refused = refusal(wire)
        assert (refused["id"], refused["error"]["data"]["reason"]) == ("mine", "overloaded")
        assert wire.connection.usage.address.held == 0
        await wire.say(post("/mcp", *modern_call("echo")))
        assert wire.statuses[-1] == 200, "the connection goes on"


def legacy(message: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    return headers | {"MCP-Protocol-Version": "2025-11-25"}, json.dumps({"jsonrpc": "2.0", **message}).encode()
