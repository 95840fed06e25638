"""Many listeners, one upstream stream for each endpoint; each hears only the events of its filter."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Callable

from mcppool.pipeline.subscriptions.hub import MIXED
from tests.unit.pipeline.pools import Heard, call_of, pool_of
from tests.unit.pipeline.virtual import World, _chunk
from tests.waiting import until


class Audience:
    """Clients that listen to a pool of three."""

    def __init__(self, sections: str = "") -> None:
        self.pool = pool_of(sections, "a", "b", "c")
        self.world = World(random.Random(1), self.pool, fault_share=0)
        self.heard: list[Heard] = []
        self.tasks: list[asyncio.Task[object]] = []

    async def join(self, *uris: str) -> None:
        heard = Heard()
        call = call_of("subscriptions/listen", id=len(self.heard), notifications={"resourceSubscriptions": list(uris)})
        self.heard.append(heard)
        self.tasks.append(asyncio.ensure_future(self.pool.serve(call, heard)))
        await self.turn()

    async def turn(self) -> None:
        for _ in range(60):
            self.world.arrive()
            await asyncio.sleep(0)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Let pieces arrive until `condition()` is true."""

        def true_now() -> object:
            self.world.arrive()
            return condition()

        await until(true_now, what)

    def streams(self) -> list[int]:
        """How many upstream streams are open at each server."""
        return [sum(not transport.is_closing() for transport in server.listening) for server in self.world.servers]

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.turn()
        assert self.streams() == [0, 0, 0], "with the last listener the streams are closed"
        await self.pool.stop()


async def test_there_is_one_stream_for_each_endpoint_whatever_the_number_of_clients() -> None:
    audience = Audience()
    for _ in range(10):
        await audience.join("x://1")
    assert audience.streams() == [1, 1, 1]
    await audience.join("x://2")
    assert audience.streams() == [1, 1, 1], "one that asks for more takes the place of the earlier one"
    await audience.end()


async def test_an_event_of_any_replica_reaches_its_subscribers_under_their_own_ids() -> None:
    audience = Audience()
    for number in range(4):
        await audience.join(f"x://{number % 2}")
    for server in audience.world.servers:
        server.update("x://1")
    await audience.turn()
    counts = [heard.body.count(b"resources/updated") for heard in audience.heard]
    assert counts == [0, 3, 0, 3]
    for number, heard in enumerate(audience.heard):
        ids = re.findall(rb'subscriptionId": ?([^,}]+)', heard.body)
        assert ids == [b"%d" % number] * (counts[number] + 1), "its acknowledgement and its events"
    await audience.end()


async def test_if_a_larger_filter_is_refused_the_present_stream_goes_on() -> None:
    audience = Audience()
    await audience.join("x://1")
    for server in audience.world.servers:
        server.refused = {"x://no"}
    await audience.join("x://no")
    assert audience.heard[1].status == 404, "whoever asks for it is told"
    await audience.join("x://2")
    assert audience.streams() == [1, 1, 1]
    for server in audience.world.servers:
        server.update("x://1")
        server.update("x://2")
    await audience.turn()
    assert [heard.body.count(b"resources/updated") for heard in audience.heard] == [3, 0, 3]
    await audience.end()


async def test_a_refusal_of_one_replica_affects_no_stream_of_the_others() -> None:
    audience = Audience()
    await audience.join("x://1")
    refusing = audience.world.servers[0]
    refusing.refused = {"x://2"}
    await audience.join("x://2")
    await audience.join("x://2")
    await audience.join("x://3")
    assert audience.streams() == [1, 1, 1]
    for server in audience.world.servers:
        for uri in {"x://1", "x://2", "x://3"} - server.refused:
            server.update(uri)
    await audience.turn()
    assert [heard.body.count(b"resources/updated") for heard in audience.heard] == [3, 2, 2, 3]
    await audience.end()


async def test_a_refused_filter_is_requested_again_for_a_new_client() -> None:
    audience = Audience()
    await audience.join("x://1")
    for server in audience.world.servers:
        server.refused = {"x://2"}
    await audience.join("x://2")
    for server in audience.world.servers:
        server.refused = set()
    await audience.join("x://2")
    audience.world.servers[0].update("x://2")
    await audience.turn()
    assert audience.heard[2].body.count(b"resources/updated") == 1
    await audience.end()


async def test_an_endpoint_that_has_no_time_now_is_listened_to_later() -> None:
    audience = Audience()
    for server, status in zip(audience.world.servers, (408, 429, 503), strict=True):
        server.busy = [status, status]
    await audience.join("x://1")
    (heard,) = audience.heard
    await audience.until(lambda: heard.status and audience.streams() == [1, 1, 1], "an answer, and all streams")
    assert heard.status == 200
    await audience.end()


async def test_a_refusal_quotes_the_resources_of_the_client_that_gets_it_and_of_no_other() -> None:
    audience = Audience()
    for server in audience.world.servers:
        server.refused = {"x://ann"}
    await audience.join("x://ann")
    assert audience.heard[0].status == 404
    assert b"x://ann" in audience.heard[0].body, "the server's words are about its own resource"
    for server in audience.world.servers:
        server.refused = set()
    await audience.join("x://ann")
    assert audience.streams() == [1, 1, 1]
    for server in audience.world.servers:
        server.refused = {"x://ann"}
    await audience.join("x://bob")
    assert audience.heard[2].status == 404
    error = json.loads(audience.heard[2].body)["error"]
    assert (error["code"], error["message"]) == (-32601, MIXED)
    assert b"x://ann" not in audience.heard[2].body
    await audience.end()


async def test_an_event_that_cannot_be_rewritten_ends_its_stream_and_no_other() -> None:
    # A stream that opens again sends an update, for the events in between: this one does not open again.
    audience = Audience('[connection_pool]\nreconnect_backoff = "168h"\nmax_reconnect_backoff = "168h"')
    await audience.join("x://1")
    spoilt, *others = audience.world.servers
    (before,) = spoilt.listening
    before.send(_chunk(b'data: {"method":"notifications/tools/list_changed","params":{"_meta":{},"_meta":{}}}\n\n'))
    before.send(
        _chunk(
            b'data: {"jsonrpc":"2.0","method":"notifications/resources/updated",'
            b'"params":{"uri":"x://1","_meta":{},"_meta":{}}}\n\n'
        )
    )
    await audience.turn()
    assert before.is_closing()
    for server in others:
        server.update("x://1")
    await audience.turn()
    assert audience.heard[0].body.count(b"resources/updated") == 2
    await audience.end()
