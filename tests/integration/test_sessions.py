"""Sessions of the handshake era: sealed ids that any gateway with the key can serve and that cannot be forged."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

import aiohttp
from mcp import Client
from mcp_types import ElicitRequestParams, ElicitResult

from mcppool.wire.sealing import generate_key_line
from tests.conftest import GatewayFactory
from tests.integration.raw_session import RawSession, call
from tests.servers import Replica, pool_toml, text_of, urls_of
from tests.waiting import until


async def test_either_of_two_gateways_that_share_a_key_serves_any_session(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], keys: str
) -> None:
    pools = pool_toml(*urls_of(replicas))
    one, two = gateway(pools, listener=keys), gateway(pools, listener=keys)
    async with aiohttp.ClientSession() as http:
        sessions = [RawSession(http) for _ in range(6)]
        for number, session in enumerate(sessions):
            await session.open((one, two)[number % 2])
        for session in sessions:
            names = {await session.whoami(front) for front in (one, two, one, two)}
            assert len(names) == 1, "a session stays on its replica whichever gateway serves it"


async def test_the_answer_to_a_servers_question_gets_through_while_the_call_holds_the_only_connection(
    gateway: GatewayFactory, sse_replicas: tuple[Replica, ...]
) -> None:
    sections = "[pools.connection_pool]\nmax_connections = 1"
    front = gateway(pool_toml(sse_replicas[0].url, sections=sections))

    async def answer(_context: Any, _params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action="accept", content={"copies": 2})

    async with Client(front.url, mode="legacy", elicitation_callback=answer) as client, asyncio.timeout(60):
        result = await client.call_tool("reserve", {"title": "Emma"})
    assert text_of(result) == "2 x Emma by a"


async def test_a_session_outlives_its_gateway_where_the_key_does(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], keys: str
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)), listener=keys)
    async with aiohttp.ClientSession() as http:
        session = RawSession(http)
        await session.open(front)
        before = await session.whoami(front)
        front.kill()
        await front.restart()
        assert await session.whoami(front) == before


async def test_the_session_of_another_key_or_a_tampered_one_is_unknown(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], keys: str
) -> None:
    pools = pool_toml(*urls_of(replicas))
    front, stranger = gateway(pools, listener=keys), gateway(pools)
    async with aiohttp.ClientSession() as http:
        session = RawSession(http)
        await session.open(front)
        assert (await session.post(stranger, call("whoami")))[0] == 404
        good = session.id
        session.id = good[:-2] + ("A" if good[-2] != "A" else "B") + good[-1]
        assert (await session.post(front, call("whoami")))[0] == 404
        session.id = good
        assert await session.whoami(front)


async def test_keys_change_while_sessions_live_and_a_session_ends_with_its_key(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], keys: str, tmp_path: Path
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)), listener=keys)
    file = tmp_path / "sealing-keys"
    old, new = file.read_text(), generate_key_line(time.time()) + "\n"

    async def renew(text: str) -> None:
        changes = front.log.count("sealing_keys_changed")
        file.write_text(text)
        await until(lambda: front.log.count("sealing_keys_changed") > changes, "the gateway has read the keys")

    async with aiohttp.ClientSession() as http:
        session, later = RawSession(http), RawSession(http)
        await session.open(front)
        await renew(old + new)
        await renew(new + old)
        await later.open(front)
        assert await session.whoami(front)
        await renew(new)
        assert (await session.post(front, call("whoami")))[0] == 404
        assert await later.whoami(front)


async def test_a_session_that_its_client_ended_is_unknown_from_then_on(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    async with aiohttp.ClientSession() as http:
        session, other = RawSession(http), RawSession(http)
        await session.open(front)
        await other.open(front)
        assert await session.delete(front) in (200, 202, 204)
        assert (await session.post(front, call("whoami")))[0] == 404
        assert await other.whoami(front)


async def test_sealed_ids_reveal_nothing_about_the_servers(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    async with aiohttp.ClientSession() as http:
        session = RawSession(http)
        await session.open(front)
        assert session.id.isascii()
        assert session.id.isprintable()
        sealed = session.id.partition(".")[2]
        hidden = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        for replica in replicas:
            assert replica.url.encode() not in hidden, "it is not only spelled in another way"
