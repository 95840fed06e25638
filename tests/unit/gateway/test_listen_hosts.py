"""A gateway in a pod listens on both families of addresses, because its pod's address may be of either."""

from __future__ import annotations

import asyncio

import pytest

from mcppool.gateway import listen_hosts as module
from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.http.listener import Listener
from mcppool.gateway.listen_hosts import has_ipv6, listen_hosts
from mcppool.observe.metrics import GatewayMetrics
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec import ListenerSpec
from tests.servers import free_port

needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@needs_ipv6
def test_every_address_of_a_pod_is_of_both_families() -> None:
    assert listen_hosts("0.0.0.0", in_pod=True) == ["0.0.0.0", "::"]


def test_without_ipv6_and_outside_pods_an_address_is_bound_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert listen_hosts("0.0.0.0", in_pod=False) == ["0.0.0.0"]
    assert listen_hosts("127.0.0.1", in_pod=True) == ["127.0.0.1"]
    monkeypatch.setattr(module, "has_ipv6", lambda: False)
    assert listen_hosts("0.0.0.0", in_pod=True) == ["0.0.0.0"]


@needs_ipv6
async def test_a_listener_serves_the_same_port_of_both_families() -> None:
    async def greet(request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.whole(200, b"", b"hello")

    listener, port = Listener(greet, GatewayMetrics(), MemoryBudget(), ListenerSpec()), free_port()
    await listener.start(["127.0.0.1", "::1"], port)
    try:
        for address in ("127.0.0.1", "::1"):
            reader, writer = await asyncio.open_connection(address, port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b"hello" in await reader.read()
            writer.close()
    finally:
        await listener.stop(0.0)
