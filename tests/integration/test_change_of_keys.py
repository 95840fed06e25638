"""Changed sealing keys, as the operator changes them: two gateways with real clients, a step at a time."""

from __future__ import annotations

import time
from pathlib import Path

import aiohttp
from mcp import Client

from mcppool.wire.sealing import generate_key_line, sealed_with
from tests.conftest import GatewayFactory
from tests.integration.raw_session import RawSession, call
from tests.servers import Gateway, Replica, pool_toml, urls_of
from tests.waiting import until


def key_file(path: Path) -> str:
    """Write a file with one new key; returns the key's id."""
    line = generate_key_line(time.time())
    path.write_text(line + "\n")
    return line.partition(":")[0]


def lines(seals: Path, *accepted: Path) -> str:
    """The keys of [listener]."""
    others = ", ".join(f'"{path}"' for path in accepted)
    return f'sealing_keys = "{seals}"\naccepted_keys = [{others}]'


async def until_keys(front: Gateway, *ids: str) -> None:
    """Wait until a gateway has exactly these keys in force; the first one seals."""
    await until(lambda: front.configz()["keyIds"] == list(ids), f"the gateway has the keys {ids}")


async def test_sessions_outlive_a_change_of_keys_that_reaches_one_gateway_after_the_other(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], tmp_path: Path
) -> None:
    old, new = tmp_path / "keys", tmp_path / "keys-1"
    pools, first = pool_toml(*urls_of(replicas)), key_file(old)
    one, two = (gateway(pools, listener=lines(old, new)) for _ in range(2))
    async with aiohttp.ClientSession() as http, Client(one.url, mode="legacy") as client:
        before, between = RawSession(http), RawSession(http)
        await before.open(one)
        second = key_file(new)  # the file appears: all gateways accept its key before one seals with it
        for front in (one, two):
            await until_keys(front, first, second)
        one.edit(pools, listener=lines(new, old))
        await until_keys(one, second, first)
        await between.open(one)
        assert sealed_with(between.id) == second
        for session in (before, between):
            assert len({await session.whoami(front) for front in (one, two)}) == 1
        two.edit(pools, listener=lines(new, old))
        await until_keys(two, second, first)
        assert not (await client.call_tool("whoami", {})).is_error
        assert len({await before.whoami(front) for front in (one, two)}) == 1
        for front in (one, two):  # what the old key has sealed is over
            front.edit(pools, listener=lines(new))
            await until_keys(front, second)
            assert (await before.post(front, call("whoami")))[0] == 404
        assert len({await between.whoami(front) for front in (one, two)}) == 1


async def test_a_key_stays_while_the_configuration_names_its_file_even_if_the_file_is_gone(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], tmp_path: Path
) -> None:
    seals, other, third = tmp_path / "keys", tmp_path / "keys-1", tmp_path / "keys-2"
    first, second = key_file(seals), key_file(other)
    front = gateway(pool_toml(replicas[0].url), listener=lines(seals, other, third))
    async with aiohttp.ClientSession() as http:
        session = RawSession(http)
        await session.open(front)
        seals.unlink()
        other.unlink()
        await until(lambda: front.log.count("sealing_keys_refused") == 2, "the gateway has missed both files")
        await until_keys(front, first, second, key_file(third))
        assert await session.whoami(front)
