"""Servers that refuse checks: a missing credential, a challenge for clients, no MCP server at all."""

from __future__ import annotations

import pytest

from mcppool.spec import PoolSpec, loads_toml
from tests.servers.faults import (
    FaultServer,
    healthy,
    silent,
    status,
)
from tests.unit.upstream.legacy_servers import (
    SPEC,
    TOML,
    Legacy,
    error,
    probed,
    waiting,
)
from tests.waiting import until

pytestmark = pytest.mark.slow

AUTH = 'auth = {inbound = {type = "passthrough"}}\n'
PASSTHROUGH = loads_toml(TOML + AUTH).pools[0]


@pytest.mark.parametrize("line", ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "407 Proxy Authentication"])
@pytest.mark.parametrize("body", ["none", "error"])
async def test_a_server_that_refuses_our_checks_is_known_to_and_found_once_it_does_no_more(
    line: str, body: str
) -> None:
    legacy = Legacy(server_discover=error(-32601))
    refuse = status(line) if body == "none" else error(-32000, line)
    async with FaultServer(refuse, everything=True) as server, probed(server) as (endpoint, rounds):
        await until(lambda: len(rounds) > 4, "some rounds")
        assert endpoint.health.refuses_checks == int(line[:3])
        assert endpoint.health.state.reachable
        assert endpoint.stats.last_fault == f"checks are refused with HTTP {line[:3]}"
        server.behaviour = legacy
        await until(lambda: endpoint.available and endpoint.catalog is not None, "found")
        assert endpoint.health.refuses_checks is None


@pytest.mark.parametrize("line", ["401 Unauthorized", "403 Forbidden"])
async def test_a_server_that_authenticates_clients_itself_passes_checks_with_a_challenge(line: str) -> None:
    async with (
        FaultServer(status(line), everything=True) as server,
        probed(server, waiting("1s", AUTH)) as (endpoint, rounds),
    ):
        await until(lambda: len(rounds) > 4, "some rounds")
        assert endpoint.available
        assert endpoint.stats.failed_checks == 0
        assert endpoint.health.refuses_checks is None
        assert endpoint.catalog is None, "its era is not known"
        seen = [request.body["method"] for request in server.requests]
        assert seen.count("initialize") == 1, "one request is enough for a check"
        server.behaviour = status("500 Internal Server Error")
        await until(lambda: not endpoint.available, "it fails")
        server.behaviour = status(line)
        await until(lambda: endpoint.available, "it works again")
        server.behaviour = silent
        await until(lambda: not endpoint.available, "it is silent")
        server.behaviour = Legacy(server_discover=error(-32601))
        await until(lambda: endpoint.available and endpoint.catalog is not None, "it lets checks in")


@pytest.mark.parametrize("spec", [SPEC, PASSTHROUGH], ids=["none", "passthrough"])
async def test_a_server_that_opens_sessions_for_everyone_and_checks_tokens_of_all_else_is_not_taken_for_a_legacy_one(
    spec: PoolSpec,
) -> None:
    refuse = status("401 Unauthorized")
    names = ("server_discover", "ping", "tools_list", "prompts_list", "resources_list")
    legacy = Legacy(**dict.fromkeys(names, refuse))
    async with FaultServer(legacy, everything=True) as server:
        async with probed(server, spec) as (endpoint, rounds):
            await until(lambda: len(rounds) > 4, "some rounds")
            assert endpoint.catalog is None, "its era is not known"
            assert endpoint.health.refuses_checks == (401 if spec is SPEC else None)
            server.behaviour = healthy
            await until(lambda: endpoint.catalog is not None, "a token is there")
            assert endpoint.catalog is not None
            assert endpoint.catalog.modern
            server.behaviour = legacy
            seen = len(rounds)
            await until(lambda: len(rounds) > seen + 4, "the token has expired")
            assert endpoint.catalog.modern, "a modern server stays one"
        assert legacy.ours == 0


@pytest.mark.parametrize("line", ["404 Not Found", "405 Method Not Allowed", "410 Gone", "429 Too Many Requests"])
async def test_without_an_mcp_server_no_checks_are_refused(line: str) -> None:
    async with FaultServer(status(line), everything=True) as server, probed(server) as (endpoint, rounds):
        await until(lambda: len(rounds) > 2, "some rounds")
        assert endpoint.health.refuses_checks is None
