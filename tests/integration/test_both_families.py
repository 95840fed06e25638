"""An operator's gateway listens on both families of addresses, for clients and probes, and calls servers of both."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client

from mcppool.gateway.listen_hosts import has_ipv6
from mcppool.spec import ListenerSpec, MetricsSpec, PoolSpec, Snapshot, render_snapshot
from tests.servers import Gateway, ServerProcess, free_port, pool_toml, sdk2_replica, serving, text_of
from tests.servers.process import get_page

pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")

FAMILIES = ("127.0.0.1", "::1")


class Published(ServerProcess):
    """A gateway with the snapshot that an operator publishes: it is told to listen on every IPv4 address."""

    def __init__(self, folder: Path, server: str) -> None:
        port, self.admin_port = free_port(), free_port()
        every = "0.0.0.0"
        pool = PoolSpec.model_validate({"name": "demo", "endpoints": [server], "auth": {"inbound": {"type": "none"}}})
        snapshot = Snapshot(
            term=1,
            generation=1,
            pools=(pool,),
            listener=ListenerSpec(listen=f"{every}:{port}"),
            metrics=MetricsSpec(host=every, port=self.admin_port),
        )
        path = folder / "snapshot.json"
        path.write_text(render_snapshot(snapshot))
        super().__init__("published", [sys.executable, "-m", "mcppool.cli.main", "serve", "--config", str(path)], port)

    def answers(self) -> bool:
        """Whether the gateway says that it is ready; its admin port is the last to open."""
        try:
            return get_page(self.admin_port, "/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Published]:
    with serving(sdk2_replica("A")) as (server,), serving(Published(tmp_path, server.url)) as (gateway,):
        yield gateway


def probe(host: str, port: int) -> int:
    """The status of `/livez`."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status
    finally:
        connection.close()


async def test_clients_probes_and_other_gateways_reach_a_gateway_over_both_families(
    published: Published, tmp_path: Path
) -> None:
    assert [probe(host, published.admin_port) for host in FAMILIES] == [200, 200]
    over_ipv6 = f"http://[::1]:{published.port}/mcp"
    async with Client(published.url) as client:
        assert text_of(await client.call_tool("add", {"a": 1, "b": 2})) == "3"
    async with Client(over_ipv6) as client:
        assert text_of(await client.call_tool("add", {"a": 3, "b": 4})) == "7"
    with serving(Gateway(tmp_path, pool_toml(over_ipv6))) as (second,):
        async with Client(second.url) as client:
            assert text_of(await client.call_tool("add", {"a": 5, "b": 6})) == "11"
