"""Endpoints from a name: they come and go with its addresses, and stay when it cannot be resolved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mcppool.discovery import dns as module
from mcppool.discovery.dns import DnsSource, resolve
from mcppool.discovery.source import Publish, Refuse
from mcppool.spec import ConfigError, Snapshot, loads_toml
from tests.waiting import until

NAMED = loads_toml('[[pools]]\nname = "p"\ndns = "http://search.test:8000/mcp?x=1"')
LISTED = loads_toml('[[pools]]\nname = "p"\nendpoints = ["http://127.0.0.1:1/mcp"]')


class Written:
    """The source beneath: publishes the snapshots of the test."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshots: asyncio.Queue[Snapshot] = asyncio.Queue()
        self.snapshots.put_nowait(snapshot)

    async def watch(self, publish: Publish, refuse: Refuse) -> None:
        while True:
            publish(await self.snapshots.get())


class Resolver:
    """Stands for a DNS server that changes its mind."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: list[str] | Exception = list(addresses)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        if isinstance(self.addresses, Exception):
            raise self.addresses
        return self.addresses


@asynccontextmanager
async def following(written: Written, resolver: Resolver) -> AsyncIterator[list[Snapshot]]:
    """The snapshots that come out."""
    seen: list[Snapshot] = []

    def refuse(error: ConfigError) -> None:
        raise AssertionError(error)

    task = asyncio.ensure_future(DnsSource(written, 0.01, resolver).watch(seen.append, refuse))
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.wait([task])


def urls(snapshot: Snapshot) -> list[str]:
    return [endpoint.url for endpoint in snapshot.pools[0].endpoints]


async def test_every_address_of_the_name_is_an_endpoint_that_is_called_by_the_name() -> None:
    resolver = Resolver("10.0.0.1", "fd00::1")
    async with following(Written(NAMED), resolver) as seen:
        await until(lambda: seen, "a snapshot")
    assert urls(seen[0]) == ["http://10.0.0.1:8000/mcp?x=1", "http://[fd00::1]:8000/mcp?x=1"]
    assert {endpoint.host for endpoint in seen[0].pools[0].endpoints} == {"search.test:8000"}
    assert seen[0].pools[0].dns is None
    assert resolver.asked[0] == ("search.test", 8000)


async def test_addresses_come_and_go_and_are_reported_once() -> None:
    resolver = Resolver("10.0.0.1")
    async with following(Written(NAMED), resolver) as seen:
        await until(lambda: len(resolver.asked) > 3, "asked again and again")
        assert len(seen) == 1
        resolver.addresses = ["10.0.0.1", "10.0.0.2"]
        await until(lambda: len(seen) == 2, "the new one")
        resolver.addresses = ["10.0.0.2"]
        await until(lambda: len(seen) == 3, "the old one is gone")
    assert [len(urls(snapshot)) for snapshot in seen] == [1, 2, 1]


@pytest.mark.parametrize("error", [OSError("no such host"), TimeoutError(), UnicodeError("label too long")], ids=repr)
async def test_a_name_that_cannot_be_resolved_keeps_its_addresses(error: Exception) -> None:
    resolver = Resolver("10.0.0.1")
    async with following(Written(NAMED), resolver) as seen:
        await until(lambda: seen, "a snapshot")
        resolver.addresses = error
        asked = len(resolver.asked)
        await until(lambda: len(resolver.asked) > asked + 2, "asked in vain")
        assert len(seen) == 1
        resolver.addresses = ["10.0.0.3"]
        await until(lambda: len(seen) == 2, "resolved again")


async def test_a_name_that_never_could_be_is_a_pool_without_endpoints() -> None:
    resolver = Resolver()
    resolver.addresses = OSError("no such host")
    async with following(Written(NAMED), resolver) as seen:
        await until(lambda: seen, "a snapshot")
        assert urls(seen[0]) == []
        resolver.addresses = ["10.0.0.1"]
        await until(lambda: len(seen) == 2, "it has come up")


async def test_a_silent_resolver_delays_others_only_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.01)

    class Silent(Resolver):
        async def __call__(self, host: str, port: int) -> list[str]:
            await asyncio.sleep(60)
            raise AssertionError

    async with following(Written(NAMED), Silent()) as seen:
        await until(lambda: seen, "a snapshot")


async def test_closing_waits_for_a_lookup_that_is_under_way() -> None:
    found = asyncio.Event()
    asked: list[str] = []

    async def slow(host: str, _port: int) -> list[str]:
        asked.append(host)
        await found.wait()
        return ["127.0.0.1"]

    source = DnsSource(Written(NAMED), 0.01, slow)
    watching = asyncio.create_task(source.watch(lambda _: None, lambda _: None))
    await until(lambda: asked, "the name is looked up")
    watching.cancel()
    await asyncio.wait({watching})
    closing = asyncio.create_task(source.aclose())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not closing.done()
    found.set()
    await closing
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert asked == ["search.test"]


async def test_closing_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.01)
    asked: list[str] = []

    async def silent(host: str, _port: int) -> list[str]:
        asked.append(host)
        await asyncio.Event().wait()
        return []

    source = DnsSource(Written(NAMED), 0.01, silent)
    watching = asyncio.create_task(source.watch(lambda _: None, lambda _: None))
    await until(lambda: asked, "the name is looked up")
    watching.cancel()
    await asyncio.wait({watching})
    await source.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_pool_that_is_named_again_after_it_was_listed_is_published_again() -> None:
    written = Written(NAMED)
    async with following(written, Resolver("10.0.0.1")) as seen:
        await until(lambda: len(seen) == 1, "named")
        written.snapshots.put_nowait(LISTED)
        await until(lambda: len(seen) == 2, "listed")
        written.snapshots.put_nowait(NAMED)
        await until(lambda: len(seen) == 3, "named again")
    assert urls(seen[0]) == urls(seen[2]) != urls(seen[1])


async def test_the_systems_own_resolver_knows_this_machine() -> None:
    assert await resolve("127.0.0.1", 80) == ["127.0.0.1"]
