"""The front door: paths and targets, and how many streams stay open at once."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from mcppool.gateway import front as front_module
from mcppool.gateway.front import Front
from mcppool.gateway.hosts import HostPolicy
from mcppool.observe.metrics import GatewayMetrics
from mcppool.pipeline.attempt import Outcome
from mcppool.pipeline.exchange import Call, Reply
from tests.servers import modern_call, modern_request
from tests.unit.gateway.driving import Wire


class Pipeline:
    """In the place of the pipeline: notes what arrives; listeners stay until they go or the gateway ends."""

    def __init__(self) -> None:
        self.served: list[tuple[str, Call]] = []

    async def __call__(self, pool: Any, call: Call, reply: Reply, outcome: Outcome) -> None:
        self.served.append((pool.name, call))
        if call.request.method == "subscriptions/listen":
            reply.begin(200, b"content-type: text/event-stream\r\n")
            await asyncio.Event().wait()
        reply.whole(200, b"", b"")


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    pipeline = Pipeline()
    monkeypatch.setattr(front_module, "serve", pipeline)
    return pipeline


def make_front(*names: str, max_streams: int = 10) -> Front:
    front = Front(GatewayMetrics(), HostPolicy("127.0.0.1", (), ()), max_streams)
    pools: Any = {name: SimpleNamespace(name=name) for name in names}
    front.serve_pools(pools)
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
        ("/mcp/", 404),
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


async def test_with_two_pools_the_short_path_is_nobodys(pipeline: Pipeline) -> None:
    wire = Wire(make_front("one", "two").handle)
    await wire.say(post("/mcp", *modern_call("echo")) + post("/two/mcp", *modern_call("echo")))
    assert wire.statuses == [404, 200]
    assert [name for name, _ in pipeline.served] == ["two"]


async def test_what_concerns_our_connection_or_is_secret_is_not_forwarded(pipeline: Pipeline) -> None:
    headers, body = modern_call("echo")
    headers |= {
        "Connection": "keep-alive, X-Mine",
        "X-Mine": "1",
        "Authorization": "Bearer secret",
        "Cookie": "secret",
        "Upgrade": "h2c",
        "TE": "trailers",
        "X-Theirs": "2",
    }
    await Wire(make_front("one").handle).say(post("/mcp", headers, body))
    ((_, call),) = pipeline.served
    assert b"x-theirs: 2\r\n" in call.forward
    for word in (b"secret", b"x-mine", b"upgrade", b"te:", b"connection", b"host", b"content-length"):
        assert word not in call.forward


async def test_one_stream_too_many_is_refused_until_another_ends(pipeline: Pipeline) -> None:
    front = make_front("one", max_streams=1)
    listen = post("/mcp", *modern_request("subscriptions/listen", {"notifications": {}}, request_id="mine"))
    first, second, third = Wire(front.handle), Wire(front.handle), Wire(front.handle)
    first.connection.data_received(listen)
    await second.say(listen)
    assert first.statuses == [200]
    assert second.statuses == [503]
    refusal = json.loads(second.said.rpartition(b"\r\n\r\n")[2])
    assert (refusal["id"], refusal["error"]["data"]["reason"]) == ("mine", "too_many_streams")
    await second.say(post("/mcp", *modern_call("echo")))
    assert second.statuses == [503, 200], "calls that finish by themselves do not count"
    first.transport.close()
    await second.settle()
    third.connection.data_received(listen)
    await second.settle()
    assert third.statuses == [200]
    third.connection.cut()
    await second.settle()
    assert third.said.endswith(b"0\r\n\r\n")
    assert b'"resultType":"complete"' in third.said
