"""The library finds its servers by name, and prefers those of its own zone."""

from __future__ import annotations

import pytest

import mcppool
from mcppool.spec import ConfigError
from tests.integration.client_library import nothing_left
from tests.servers import aserving, sdk2_replica


async def test_the_addresses_of_a_name_are_the_endpoints() -> None:
    server = sdk2_replica("a")
    async with aserving(server), nothing_left():
        url = server.url.replace("127.0.0.1", "localhost")
        async with mcppool.Pool(dns=url) as pool:
            result = await pool.call_tool("whoami", timeout=90)
            assert result.structured_content is not None


async def test_an_unknown_host_name_is_a_pool_without_servers() -> None:
    async with nothing_left(), mcppool.Pool(dns="http://no-such-host.invalid/mcp") as pool:
        with pytest.raises(mcppool.CallFailed) as caught:
            await pool.call_tool("x")
        assert caught.value.delivered == "no"


async def test_the_own_zone_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = sdk2_replica("near"), sdk2_replica("far")
    async with aserving(near, far), nothing_left():
        endpoints = [{"url": near.url, "zone": "a"}, {"url": far.url, "zone": "b"}]
        prefers = {"zone_preference": "prefer_local", "strategy": "round_robin", "slow_start": "1ms"}
        for given in ({"zone": "a"}, {}):
            if not given:
                monkeypatch.setenv("MCPPOOL_ZONE", "a")
            async with mcppool.Pool(endpoints, load_balancer=prefers, **given) as pool:
                names = {(await pool.call_tool("whoami")).structured_content["name"] for _ in range(6)}
                assert names == {"near"}


def test_a_preference_without_a_zone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MCPPOOL_ZONE", raising=False)
    with pytest.raises(ConfigError, match=r"zone_preference.*MCPPOOL_ZONE"):
        mcppool.Pool(["http://127.0.0.1:1/mcp"], load_balancer={"zone_preference": "prefer_local"})
