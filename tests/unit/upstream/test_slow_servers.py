"""A server that answers every check, but more slowly than a check may take, stays available."""

from __future__ import annotations

import asyncio

import pytest

from tests.servers.faults import Behaviour, Exchange, FaultServer, delayed, healthy
from tests.servers.handshakes import Handshakes
from tests.unit.upstream.legacy_servers import probed, waiting
from tests.waiting import until

pytestmark = pytest.mark.slow

SPEC = waiting("400ms")
SLOW = 1.0  # seconds: so much longer than a check may take that a machine that stands still for a moment is not

SERVERS = {"modern": lambda: healthy, "legacy": Handshakes}


def slow_at(method: str, then: Behaviour) -> Behaviour:
    """Slow for one method alone."""

    async def behave(exchange: Exchange) -> None:
        if isinstance(exchange.body, dict) and exchange.body.get("method") == method:
            await asyncio.sleep(SLOW)
        await then(exchange)

    return behave


@pytest.mark.parametrize("era", SERVERS)
async def test_a_server_that_was_slow_from_the_start_passes_its_checks(era: str) -> None:
    async with (
        FaultServer(delayed(SLOW, SERVERS[era]()), everything=True) as server,
        probed(server, SPEC) as (endpoint, rounds),
    ):
        await until(lambda: len(rounds) > 4, "some rounds")
        assert endpoint.available
        assert endpoint.catalog is not None
        assert endpoint.catalog.modern is (era == "modern")
        assert endpoint.stats.failed_checks == 0


@pytest.mark.parametrize("era", SERVERS)
async def test_a_server_that_is_slow_after_a_restart_comes_back(era: str) -> None:
    async with FaultServer(SERVERS[era](), everything=True) as server, probed(server, SPEC) as (endpoint, rounds):
        await until(lambda: len(rounds) > 2 and endpoint.available, "it is well")
        await server.refuse()
        await until(lambda: endpoint.lost, "it is gone")
        server.behaviour = delayed(SLOW, SERVERS[era]())
        failed = endpoint.stats.failed_checks
        await server.listen()
        await until(lambda: endpoint.available, "it is back")
        seen = len(rounds)
        await until(lambda: len(rounds) > seen + 3, "more rounds")
        assert endpoint.available
        assert endpoint.stats.failed_checks <= failed + 1, "a refused one may have been under way"


@pytest.mark.parametrize("era", SERVERS)
async def test_a_server_that_becomes_slow_stays_and_is_checked_more_patiently(era: str) -> None:
    async with FaultServer(SERVERS[era](), everything=True) as server, probed(server, SPEC) as (endpoint, rounds):
        await until(lambda: len(rounds) > 2 and endpoint.available, "it is well")
        server.behaviour = delayed(SLOW, server.behaviour)
        await until(lambda: endpoint.stats.failed_checks > 0, "a check was too slow")
        passed = endpoint.stats.checks - endpoint.stats.failed_checks
        await until(lambda: endpoint.stats.checks - endpoint.stats.failed_checks > passed + 4, "checks pass again")
        assert endpoint.available
        failed = endpoint.stats.failed_checks
        seen = len(rounds)
        await until(lambda: len(rounds) > seen + 2, "more rounds")
        assert endpoint.stats.failed_checks == failed


@pytest.mark.parametrize(("era", "method"), [("modern", "server/discover"), ("legacy", "ping")])
async def test_a_server_that_is_slow_with_the_check_alone_stays(era: str, method: str) -> None:
    async with FaultServer(SERVERS[era](), everything=True) as server, probed(server, SPEC) as (endpoint, rounds):
        await until(lambda: len(rounds) > 2 and endpoint.available, "it is well")
        server.behaviour = slow_at(method, server.behaviour)
        await until(lambda: endpoint.stats.failed_checks > 0, "a check was too slow")
        passed = endpoint.stats.checks - endpoint.stats.failed_checks
        await until(lambda: endpoint.stats.checks - endpoint.stats.failed_checks > passed + 4, "checks pass again")
        failed, seen = endpoint.stats.failed_checks, len(rounds)
        await until(lambda: len(rounds) > seen + 3, "more rounds")
        assert endpoint.available
        assert endpoint.stats.failed_checks == failed


async def test_a_server_that_answers_nothing_any_more_is_out_as_soon_as_before() -> None:
    async with FaultServer(everything=True) as server, probed(server, SPEC) as (endpoint, rounds):
        await until(lambda: len(rounds) > 2 and endpoint.available, "it is well")
        server.behaviour = delayed(3600.0)
        await until(lambda: not endpoint.available, "three checks went unanswered", limit=20)
        assert endpoint.stats.failed_checks >= 3
