"""The checks of a legacy server: by a method that it answers, in one session, which does not stay behind."""

from __future__ import annotations

import pytest

from tests.servers.faults import (
    FaultServer,
    close_without_answer,
    silent,
)
from tests.unit.upstream.legacy_servers import (
    IMPATIENT,
    PATIENT,
    REFUSALS,
    SPEC,
    Legacy,
    error,
    probed,
    waiting,
)
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["silence", "close", "garbage", "400", "500", "no-method", "not-initialised"])
async def test_a_server_without_ping_is_checked_by_another_method(name: str) -> None:
    discover, spec = (silent, PATIENT) if name == "silence" else (error(-32601), SPEC)
    legacy = Legacy(server_discover=discover, ping=REFUSALS[name])
    async with FaultServer(legacy, everything=True) as server:
        async with probed(server, spec) as (endpoint, rounds):
            await until(lambda: endpoint.catalog is not None and len(rounds) > 3, "some rounds")
            assert endpoint.stats.failed_checks == 0
            assert endpoint.available
            assert len(legacy.sessions) == 1
        assert legacy.ours == 0


async def test_a_server_that_answers_initialize_alone_is_checked_by_that_and_keeps_one_session() -> None:
    names = ("ping", "tools_list", "prompts_list", "resources_list")
    legacy = Legacy(server_discover=silent, **dict.fromkeys(names, close_without_answer))
    async with FaultServer(legacy, everything=True) as server:
        async with probed(server, PATIENT) as (endpoint, _):
            await until(lambda: len(legacy.sessions) > 3, "checks by new sessions")
            assert endpoint.available
            assert legacy.ours <= 2
        assert legacy.ours == 0


async def test_first_contact_is_patient_and_leaves_no_session_behind() -> None:
    legacy = Legacy(server_discover=error(-32601))
    legacy.methods["initialize"] = legacy.slowly
    async with FaultServer(legacy, everything=True) as server:
        async with probed(server, IMPATIENT) as (endpoint, rounds):
            await until(lambda: bool(rounds), "nobody waits longer than for a check")
            assert endpoint.state == "joining"
            legacy.released.set()
            await until(lambda: endpoint.catalog is not None, "the era is settled")
            assert endpoint.available
            assert len(legacy.sessions) == 1
        assert legacy.ours == 0


async def test_a_handshake_that_outlasts_the_patience_with_it_is_not_begun_again() -> None:
    spec = waiting('1s", startup_timeout = "2s')
    legacy = Legacy(server_discover=error(-32601))
    legacy.methods["initialize"] = legacy.slowly
    async with FaultServer(legacy, everything=True) as server:
        async with probed(server, spec) as (endpoint, _):
            await until(lambda: endpoint.stats.failed_checks > 0, "it was waited for in vain")
            legacy.released.set()
            await until(lambda: endpoint.catalog is not None, "the era is settled")
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
