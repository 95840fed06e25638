"""The era of a server is found for every reaction to unknown methods, and found anew when it changes."""

from __future__ import annotations

import pytest

from tests.servers.faults import (
    Behaviour,
    Exchange,
    FaultServer,
    close_without_answer,
    delayed,
    healthy,
    status,
)
from tests.unit.upstream.legacy_servers import (
    IMPATIENT,
    PATIENT,
    REFUSALS,
    SPEC,
    Legacy,
    broken_result,
    probed,
)
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_legacy_server_is_found_whatever_it_does_with_discover(name: str) -> None:
    legacy = Legacy(server_discover=broken_result if name == "broken-result" else REFUSALS[name])
    async with FaultServer(legacy, everything=True) as server:
        async with probed(server, PATIENT if name == "silence" else SPEC) as (endpoint, rounds):
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


@pytest.mark.parametrize("first", ["silence", "no-method", "500"])
async def test_a_server_that_has_become_modern_is_found_to_be_and_the_reverse(first: str) -> None:
    legacy = Legacy(server_discover=REFUSALS[first])
    async with FaultServer(legacy, everything=True) as server, probed(server, IMPATIENT) as (endpoint, _):
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


async def test_a_server_that_takes_longer_for_everything_than_a_check_may_is_found() -> None:
    async with FaultServer(delayed(0.8), everything=True) as server, probed(server, IMPATIENT) as (endpoint, _):
        await until(lambda: endpoint.stats.answered, "its first answer")
        assert endpoint.state == "available"
