"""The era of a server is found for every reaction to unknown methods, and no check leaves anything behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mcppool.spec import EndpointSpec, PoolSpec, loads_toml
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.probing.prober import Prober
from tests.servers.faults import (
    Behaviour,
    Exchange,
    FaultServer,
    close_without_answer,
    delayed,
    garbage,
    healthy,
    not_json,
    reset_before,
    silent,
    status,
)
from tests.servers.handshakes import Handshakes
from tests.waiting import until

TOML = """
profile = "test"
[[pools]]
name = "p"
endpoints = ["http://127.0.0.1:1/mcp"]
connection_pool = {health_check_interval = "50ms", reconnect_backoff = "10ms", max_reconnect_backoff = "20ms"}
health_check = {timeout = "300ms"}
"""
SPEC = loads_toml(TOML).pools[0]
PATIENT = loads_toml(TOML.replace('"300ms"}', '"1s"}')).pools[0]  # also a slow machine answers within this time
PASSTHROUGH = loads_toml(TOML + 'auth = {inbound = {type = "passthrough"}}\n').pools[0]


def error(code: int, line: str = "200 OK") -> Behaviour:
    """A JSON-RPC error."""

    async def behave(exchange: Exchange) -> None:
        body = {"jsonrpc": "2.0", "id": exchange.body["id"], "error": {"code": code, "message": "no"}}
        await exchange.respond(body, status=line)

    return behave


REFUSALS = {
    "silence": silent,
    "close": close_without_answer,
    "reset": reset_before,
    "garbage": garbage,
    "not-json": not_json,
    "400": status("400 Bad Request"),
    "401": status("401 Unauthorized"),
    "403": status("403 Forbidden"),
    "405": status("405 Method Not Allowed"),
    "429": status("429 Too Many Requests"),
    "500": status("500 Internal Server Error"),
    "503": status("503 Service Unavailable"),
    "no-method": error(-32601),
    "bad-params": error(-32602),
    "internal": error(-32603),
    "not-initialised": error(-32002, "400 Bad Request"),
    "parse": error(-32700, "400 Bad Request"),
    "broken-result": healthy,
}


class Legacy(Handshakes):
    """A legacy server: `methods` have their own behaviour, the rest is answered correctly."""

    def __init__(self, **methods: Behaviour) -> None:
        super().__init__()
        self.methods = methods

    async def __call__(self, exchange: Exchange) -> None:
        method = exchange.body.get("method", "") if isinstance(exchange.body, dict) else ""
        own = self.methods.get(method.replace("/", "_"))
        if own is not None:
            await own(exchange)
        await (asyncio.sleep(0) if own not in (None, self.slowly) else super().__call__(exchange))

    async def slowly(self, exchange: Exchange) -> None:
        """Pass it for a method that takes a second."""
        await asyncio.sleep(1.0)

    @property
    def ours(self) -> int:
        """Sessions that were opened and not ended."""
        return sum(not session.ended for session in self.sessions.values())


@asynccontextmanager
async def probed(server: FaultServer, spec: PoolSpec = SPEC) -> AsyncIterator[tuple[Endpoint, list[int]]]:
    """An endpoint with its prober, and a list that grows with each round."""
    endpoint = Endpoint(EndpointSpec(url=server.url), spec)
    rounds: list[int] = []
    prober = Prober(endpoint, spec, on_round=lambda _: rounds.append(1))
    try:
        yield endpoint, rounds
    finally:
        await prober.stop()
        endpoint.connections.abort()


async def broken_result(exchange: Exchange) -> None:
    await exchange.respond({"jsonrpc": "2.0", "id": exchange.body["id"], "result": {"ok": True}})


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_legacy_server_is_found_whatever_it_does_with_discover(name: str) -> None:
    legacy = Legacy(server_discover=broken_result if name == "broken-result" else REFUSALS[name])
    async with FaultServer(legacy, everything=True) as server:
        async with probed(server, PATIENT) as (endpoint, rounds):
            await until(lambda: endpoint.catalog is not None, "the era is settled")
            assert endpoint.catalog is not None
            assert not endpoint.catalog.modern
            assert set(endpoint.catalog.tools) == {"read", "write"}
            seen = len(rounds)
            await until(lambda: len(rounds) > seen + 2, "more rounds")
            assert endpoint.available
            assert endpoint.stats.failed_checks == 0
            assert len(legacy.sessions) == 1, "checks open no further sessions"
        assert legacy.ours == 0


@pytest.mark.parametrize("name", ["silence", "close", "garbage", "400", "500", "no-method", "not-initialised"])
async def test_a_server_without_ping_is_checked_by_another_method(name: str) -> None:
    legacy = Legacy(server_discover=silent, ping=REFUSALS[name])
    async with FaultServer(legacy, everything=True) as server:
        async with probed(server, PATIENT) as (endpoint, rounds):
            await until(lambda: endpoint.catalog is not None and len(rounds) > 3, "some rounds")
            assert endpoint.stats.failed_checks == 0
            assert endpoint.available
            assert len(legacy.sessions) == 1
        assert legacy.ours == 0


async def test_a_server_that_answers_initialize_alone_is_checked_by_that_and_keeps_one_session() -> None:
    names = ("ping", "tools_list", "prompts_list", "resources_list")
    legacy = Legacy(server_discover=silent, **dict.fromkeys(names, close_without_answer))
    async with FaultServer(legacy, everything=True) as server:
        async with probed(server) as (endpoint, _):
            await until(lambda: len(legacy.sessions) > 3, "checks by new sessions")
            assert endpoint.available
            assert legacy.ours <= 2
        assert legacy.ours == 0


async def test_first_contact_is_patient_and_leaves_no_session_behind() -> None:
    legacy = Legacy(server_discover=error(-32601))
    legacy.methods["initialize"] = legacy.slowly
    async with FaultServer(legacy, everything=True) as server:
        async with probed(server) as (endpoint, rounds):
            await until(lambda: bool(rounds), "nobody waits longer than for a check")
            assert endpoint.state == "joining"
            await until(lambda: endpoint.catalog is not None, "the era is settled")
            assert endpoint.available
            assert len(legacy.sessions) == 1
        assert legacy.ours == 0


async def test_a_handshake_that_outlasts_the_patience_with_it_is_not_begun_again() -> None:
    spec = loads_toml(TOML.replace('"300ms"}', '"100ms", startup_timeout = "200ms"}')).pools[0]
    legacy = Legacy(server_discover=error(-32601))
    legacy.methods["initialize"] = legacy.slowly
    async with FaultServer(legacy, everything=True) as server:
        async with probed(server, spec) as (endpoint, _):
            await until(lambda: endpoint.catalog is not None, "the era is settled")
            assert endpoint.stats.failed_checks > 0, "it was waited for in vain"
            assert len(legacy.sessions) == 1
        assert legacy.ours == 0


async def test_a_handshake_with_a_server_that_has_gone_meanwhile_is_given_up() -> None:
    legacy = Legacy(server_discover=error(-32601), initialize=silent)
    async with FaultServer(legacy, everything=True) as server, probed(server) as (endpoint, _):
        await until(lambda: any(seen.body["method"] == "initialize" for seen in server.requests), "the handshake")
        await server.refuse()
        await until(lambda: endpoint.lost, "lost")
        del legacy.methods["initialize"]
        await server.listen()
        await until(lambda: endpoint.available and endpoint.catalog is not None, "found again")


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
    async with FaultServer(status(line), everything=True) as server, probed(server, PASSTHROUGH) as (endpoint, rounds):
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


async def test_ids_of_checks_are_unique() -> None:
    legacy = Legacy(server_discover=error(-32601))
    async with (
        FaultServer(legacy, everything=True) as server,
        probed(server) as (_, rounds),
        probed(server) as (_, others),
    ):
        await until(lambda: min(len(rounds), len(others)) > 2, "some rounds")
        ids = [seen.body["id"] for seen in server.requests if seen.body and "id" in seen.body]
    assert len(set(ids)) == len(ids)
    assert all(id.startswith("mcppool-check-") for id in ids)


async def test_a_server_that_takes_longer_for_everything_than_a_check_may_is_found() -> None:
    async with FaultServer(delayed(0.8), everything=True) as server, probed(server) as (endpoint, _):
        await until(lambda: endpoint.stats.answered, "its first answer")
        assert endpoint.state == "available"


@pytest.mark.parametrize("first", ["silence", "no-method", "500"])
async def test_a_server_that_has_become_modern_is_found_to_be_and_the_reverse(first: str) -> None:
    legacy = Legacy(server_discover=REFUSALS[first])
    async with FaultServer(legacy, everything=True) as server, probed(server) as (endpoint, _):
        await until(lambda: endpoint.catalog is not None, "the era is settled")
        await server.refuse()
        await until(lambda: endpoint.lost, "lost")
        server.behaviour = healthy
        await server.listen()
        await until(lambda: endpoint.catalog is not None and endpoint.catalog.modern, "modern")
        await server.refuse()
        await until(lambda: endpoint.lost, "lost")
        server.behaviour = legacy
        await server.listen()
        await until(lambda: endpoint.catalog is not None and not endpoint.catalog.modern, "legacy")
        assert endpoint.available


async def test_a_bad_moment_at_discover_makes_no_legacy_server_of_a_modern_one() -> None:
    moments: list[Behaviour] = [status("503 Service Unavailable"), close_without_answer]

    async def behave(exchange: Exchange) -> None:
        discover = exchange.body and exchange.body["method"] == "server/discover"
        await (moments.pop() if moments and discover else healthy)(exchange)

    async with FaultServer(behave, everything=True) as server, probed(server) as (endpoint, _):
        await until(lambda: endpoint.catalog is not None, "the era is settled")
        assert endpoint.catalog is not None
        assert endpoint.catalog.modern
        moments += [status("503 Service Unavailable")] * 5
        await until(lambda: not moments, "a longer bad moment")
        assert endpoint.catalog.modern
