"""Streams and bytes of authenticated clients count for their principals, whatever address they come from."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mcppool.access.inbound import InboundAuth
from mcppool.gateway.allowed_hosts import AllowedHosts
from mcppool.gateway.http.client_caps import UNLIMITED, Clients
from mcppool.gateway.router import Router
from mcppool.observe.metrics import GatewayMetrics
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.outcome import Outcome
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec.sections.inbound import InboundAuthSpec
from tests.servers import modern_call, modern_request
from tests.unit.gateway.http.driving import Wire
from tests.unit.gateway.test_router import AT_WORK, Pipeline, pool_of, post, refusal
from tests.unit.gateway.test_router_auth import Door


class Waiting(Pipeline):
    """Calls wait for `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def serve(self, pool: str, call: Call, reply: Reply, outcome: Outcome) -> None:
        if call.request.method == "tools/call":
            await self.go.wait()
        await super().serve(pool, call, reply, outcome)


@pytest.fixture
def pipeline() -> Iterator[Waiting]:
    waiting = Waiting()
    AT_WORK.append(waiting)
    yield waiting
    AT_WORK.pop()


def listen(key: str) -> bytes:
    headers, body = modern_request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    return post("/mcp", headers | {"Authorization": f"Bearer key-of-{key}"}, body)


def large_call(key: str, size: int = 100_000) -> bytes:
    headers, body = modern_call("echo", arguments={"text": "x" * size})
    return post("/mcp", headers | {"Authorization": f"Bearer key-of-{key}"}, body)


async def send(wire: Wire, data: bytes) -> None:
    wire.connection.data_received(data)
    await wire.settle(lambda: bool(wire.statuses))


async def test_streams_of_a_principal_are_limited_at_all_its_addresses_and_no_other_principals_are(
    pipeline: Waiting, tmp_path: Path
) -> None:
    door = Door(tmp_path)
    proxy = Wire(door.router.handle, caps=replace(UNLIMITED, streams_per_client=0, streams_per_principal=2))
    wires = [proxy, proxy.another(), proxy.another(), proxy.another("10.0.0.9"), proxy.another()]
    for wire, key in zip(wires, ["ann", "ann", "ann", "ann", "bob"], strict=True):
        await send(wire, listen(key))
    assert [wire.statuses for wire in wires] == [[200], [200], [503], [503], [200]]
    assert "(listener.max_streams_per_principal)" in refusal(wires[2])["error"]["message"]
    wires[0].transport.close()
    await wires[0].settle(lambda: len(door.router.streams) == 2)
    again = proxy.another()
    await send(again, listen("ann"))
    assert again.statuses == [200], "a stream that has ended makes room"
    for wire in [*wires, again]:
        wire.transport.close()
        await wire.settle(lambda: len(door.router.streams) == 0)
    assert len(proxy.shared.clients) == 0
    await door.auth.close()


async def test_bodies_of_calls_in_flight_count_for_the_principal_and_not_for_the_address_of_its_proxy(
    pipeline: Waiting, tmp_path: Path
) -> None:
    door = Door(tmp_path)
    caps = replace(UNLIMITED, memory_per_client=500_000, memory_per_principal=700_000)
    memory = MemoryBudget(1 << 30)
    proxy = Wire(door.router.handle, max_body=1 << 20, caps=caps, memory=memory)
    wires = [proxy, proxy.another(), proxy.another()]
    await send(wires[0], large_call("ann"))
    await send(wires[1], large_call("ann"))
    await send(wires[2], large_call("bob"))
    assert [wire.statuses for wire in wires] == [[], [503], []]
    assert "(listener.max_memory_per_principal)" in refusal(wires[1])["error"]["message"]
    assert proxy.connection.usage.address.held == 0
    assert proxy.connection.usage.client.held == 4 * len(large_call("ann").partition(b"\r\n\r\n")[2])
    pipeline.go.set()
    for wire in wires:
        await wire.settle(lambda: not wire.connection.busy)  # noqa: B023 (awaited at once)
    assert [wire.statuses for wire in wires] == [[200], [503], [200]]
    assert memory.charged == 0
    assert proxy.connection.usage.client.held == 0
    await door.auth.close()


async def test_a_connection_that_brings_many_principals_counts_each_call_for_its_own(
    pipeline: Waiting, tmp_path: Path
) -> None:
    door = Door(tmp_path)
    pipeline.go.set()
    wire = Wire(door.router.handle, max_body=1 << 20)
    counted: list[str] = []
    for key in ("ann", "bob", "ann", "nobody"):
        await wire.say(large_call(key))
        counted.append(wire.connection.usage.client.key)
        assert len(wire.shared.clients) == (1 if key == "nobody" else 2)
    assert counted[0] == counted[2] != counted[1]
    assert counted[3] == "127.0.0.1"
    wire.transport.close()
    await wire.settle(lambda: len(wire.shared.clients) == 0)
    assert len(wire.shared.clients) == 0
    await door.auth.close()


async def test_unread_answers_count_for_the_principal(pipeline: Waiting, tmp_path: Path) -> None:
    door = Door(tmp_path)
    wire = Wire(door.router.handle, max_body=1 << 20)
    await send(wire, large_call("ann"))
    wire.transport.backlog = 5000
    wire.connection.pause_writing()
    held = wire.connection.usage.client.held
    assert wire.connection.usage.address.held == 0
    wire.transport.close()
    await wire.settle(lambda: wire.connection.held == 0)
    assert held == 4 * len(large_call("ann").partition(b"\r\n\r\n")[2]) + 5000
    await door.auth.close()


def test_bytes_count_for_a_client_after_its_connection_is_gone() -> None:
    """Otherwise a client that calls and goes away at once could hold more than its share."""
    clients, account = Clients(replace(UNLIMITED, memory_per_client=1000)), MemoryBudget().account("bodies")
    first = clients.arrive("10.0.0.1")
    assert first.reserve(account, 800)
    clients.depart(first)
    again = clients.arrive("10.0.0.1")
    assert not again.reserve(account, 800)
    first.charge(account, -800)
    assert again.reserve(account, 800)
    again.charge(account, -800)
    clients.depart(again)
    assert len(clients) == 0
    assert clients.connections == 0


async def test_tokens_that_only_servers_check_do_not_multiply_the_limits_of_an_address(pipeline: Waiting) -> None:
    spec = InboundAuthSpec.model_validate({"type": "passthrough"})
    auth = InboundAuth(spec, "one", {b"/mcp": "http://localhost/mcp"}, Counter(), lambda: None)
    router = Router(GatewayMetrics(), AllowedHosts("127.0.0.1", (), ()), MemoryBudget())
    router.serve_pools({"one": pool_of("one", ())}, {"one": auth})
    proxy = Wire(router.handle, caps=replace(UNLIMITED, streams_per_client=1))
    wires = [proxy, proxy.another(), proxy.another("10.0.0.9")]
    for wire, key in zip(wires, ["ann", "bob", "bob"], strict=True):
        await send(wire, listen(key))
    assert [wire.statuses for wire in wires] == [[200], [503], [200]]
    for wire in wires:
        wire.transport.close()
        await wire.settle(lambda: len(router.streams) == 0)
    await auth.close()
