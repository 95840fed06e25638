"""The era of a server is found whatever it does with what it does not know, and no check leaves anything behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mcppool.spec import EndpointSpec, loads_toml
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.prober import Prober
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

SPEC = loads_toml("""
profile = "test"
[[pools]]
name = "p"
endpoints = ["http://127.0.0.1:1/mcp"]
connection_pool = {health_check_interval = "50ms", reconnect_backoff = "10ms", max_reconnect_backoff = "20ms"}
health_check = {timeout = "300ms"}
""").pools[0]


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
    """A legacy server: `methods` meet their own behaviour, the rest is answered in good health."""

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
async def probed(server: FaultServer) -> AsyncIterator[tuple[Endpoint, list[int]]]:
    """An endpoint with its prober, and a list that grows with each round."""
    endpoint = Endpoint(EndpointSpec(url=server.url), SPEC)
    rounds: list[int] = []
    prober = Prober(endpoint, SPEC, on_round=lambda _: rounds.append(1))
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
        async with probed(server) as (endpoint, rounds):
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
async def test_a_server_without_ping_is_checked_by_what_it_answers(name: str) -> None:
    legacy = Legacy(server_discover=silent, ping=REFUSALS[name])
    async with FaultServer(legacy, everything=True) as server:
        async with probed(server) as (endpoint, rounds):
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
        await until(lambda: endpoint.lost is not None, "lost")
        server.behaviour = healthy
        await server.listen()
        await until(lambda: endpoint.catalog is not None and endpoint.catalog.modern, "modern")
        await server.refuse()
        await until(lambda: endpoint.lost is not None, "lost")
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
