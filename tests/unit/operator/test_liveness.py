"""Whether the watches receive, as seen on their connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from mcppool_operator.liveness import GRACE, SILENCE, Watches
from mcppool_operator.resources import POD, SERVICE, Kind
from tests.waiting import until


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """A server with lists and watches, a client that asks as kopf does, and the report of `Watches`."""

    def __init__(self, namespaces: tuple[str, ...] = ()) -> None:
        self.clock = Clock()
        self.listed: list[Kind] = []
        self.unsure: list[Kind] = []
        self.watches = Watches([POD], namespaces, self.listed.append, self.unsure.append, self.clock)
        self.responses: list[aiohttp.ClientResponse] = []
        self.streams: list[web.StreamResponse] = []
        self.over = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.json_response({"items": []})
        stream = web.StreamResponse()
        await stream.prepare(request)
        self.streams.append(stream)
        await self.over.wait()
        return stream

    async def list(self, path: str = "/api/v1/pods", **query: str) -> None:
        async with self.session.get(f"{self.server}{path}", params=query) as response:
            await response.read()

    async def watch(self, path: str = "/api/v1/pods") -> aiohttp.ClientResponse:
        response = await self.session.get(f"{self.server}{path}", params={"watch": "true"})
        self.responses.append(response)
        return response

    session: aiohttp.ClientSession
    server: str


@asynccontextmanager
async def scene(*namespaces: str) -> AsyncIterator[Scene]:
    made = Scene(namespaces)
    application = web.Application()
    application.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.server = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession(trace_configs=[made.watches.trace]) as made.session:
        yield made
        made.over.set()
        for response in made.responses:
            response.close()
    await runner.cleanup()


async def test_a_kind_is_listed_when_its_watch_begins_and_then_all_is_well() -> None:
    async with scene() as it:
        assert it.watches.troubles() == ["/api/v1/pods: not listed yet"]
        await it.list()
        await it.list(**{"continue": "more"})
        assert it.watches.troubles() == ["/api/v1/pods: not listed yet"]
        await it.watch()
        assert it.watches.troubles() == []
        assert (it.listed, it.unsure) == ([POD], [])


async def test_a_watch_that_brings_nothing_for_long_is_named_and_a_bookmark_is_enough() -> None:
    async with scene() as it:
        await it.list()
        response = await it.watch()
        assert it.watches.troubles() == []
        it.clock.now += SILENCE + 1
        assert it.watches.troubles() == ["/api/v1/pods: silent for 91 s"]
        await it.streams[0].write(b'{"type":"BOOKMARK"}\n')
        assert await response.content.readline()
        assert it.watches.troubles() == []


async def test_a_watch_that_is_away_has_a_moment_to_come_back() -> None:
    async with scene() as it:
        await it.list()
        response = await it.watch()
        assert it.watches.troubles() == []
        response.close()
        it.clock.now += GRACE - 1
        assert it.watches.troubles() == []
        it.clock.now += 2
        assert it.watches.troubles() == ["/api/v1/pods: no watch"]
        await it.watch()
        assert it.watches.troubles() == []
        assert it.unsure == [], "it went on from where it was"


async def test_a_watch_whose_server_ends_it_is_seen_to_be_away() -> None:
    async with scene() as it:
        await it.list()
        response = await it.watch()
        it.over.set()
        await until(response.content.at_eof, "the answer is over")
        it.clock.now += GRACE + 1
        assert it.watches.troubles() == ["/api/v1/pods: no watch"]


async def test_a_second_list_of_a_kind_means_that_events_were_missed() -> None:
    async with scene() as it:
        await it.list()
        await it.watch()
        await it.list()
        assert it.unsure == [POD]
        assert it.watches.troubles() == ["/api/v1/pods: not listed yet"]
        await it.watch()
        assert it.listed == [POD, POD]
        assert it.watches.troubles() == []


async def test_with_namespaces_a_kind_is_listed_when_it_is_in_all_of_them() -> None:
    async with scene("a", "b") as it:
        for namespace, listed in (("a", []), ("b", [POD])):
            path = f"/api/v1/namespaces/{namespace}/pods"
            await it.list(path)
            await it.watch(path)
            assert it.listed == listed
        assert it.watches.troubles() == []


async def test_other_requests_and_other_places_do_not_matter() -> None:
    async with scene() as it:
        await it.watch(SERVICE.path())
        await it.list("/api/v1")
        assert it.watches.troubles() == ["/api/v1/pods: not listed yet"]


async def test_an_api_server_below_a_path_is_understood() -> None:
    async with scene() as it:
        it.watches.prefix = "/k8s/clusters/c-1"
        await it.watch("/k8s/clusters/c-1/api/v1/pods")
        assert it.watches.troubles() == []
