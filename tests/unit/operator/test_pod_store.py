"""The pods of a pool that are known from the watch, and the cases that still list them."""

from __future__ import annotations

from typing import Any

import pytest

from mcppool_operator.children import Owner
from mcppool_operator.pod_store import PodStore

OWNER = Owner("default", "search", "1")
KEY = "default/search"


def pod(name: str, uid: str = "") -> dict[str, Any]:
    return {"metadata": {"namespace": "default", "name": name, "uid": uid or name}}


class Server:
    """An API server with some pods, which counts the lists of them."""

    def __init__(self, *names: str) -> None:
        self.names, self.asked, self.down = names, 0, False

    async def list(self, *_: object, **__: object) -> list[dict[str, Any]]:
        self.asked += 1
        if self.down:
            raise OSError("down")
        return [pod(name) for name in self.names]


async def read(store: PodStore, server: Server) -> set[str]:
    return {found.name for found in await store.read(server, OWNER)}  # type: ignore[arg-type]


async def test_pods_that_the_watch_shows_are_not_listed() -> None:
    store, server = PodStore(), Server("listed")
    store.observe(KEY, pod("a"), deleted=False)
    store.observe("default/other", pod("b"), deleted=False)
    store.expect(KEY)
    assert await read(store, server) == {"a"}
    store.observe(KEY, pod("a"), deleted=True)
    store.listed()
    store.expect(KEY)
    assert await read(store, server) == set()
    assert server.asked == 0


async def test_the_deletion_of_an_earlier_pod_of_the_name_takes_nothing_away() -> None:
    store = PodStore()
    store.observe(KEY, pod("a", "new"), deleted=False)
    store.observe(KEY, pod("a", "old"), deleted=True)
    assert await read(store, Server()) == {"a"}


async def test_pods_are_listed_where_there_are_some_and_the_watch_has_not_shown_them_yet() -> None:
    store, server = PodStore(), Server("a")
    store.expect(KEY)
    assert await read(store, server) == {"a"}
    assert await read(store, server) == {"a"}
    assert server.asked == 1


@pytest.mark.parametrize("why", ["the watch begins anew", "a pod does not answer"])
async def test_pods_are_listed_once_after_a_doubt(why: str) -> None:
    store, server = PodStore(), Server("b")
    store.observe(KEY, pod("a"), deleted=False)
    store.listed()
    if why == "the watch begins anew":
        store.unsure()
    else:
        store.ask(KEY)
    assert await read(store, server) == {"b"}
    assert await read(store, server) == {"b"}
    assert server.asked == 1


async def test_a_list_that_fails_is_tried_again() -> None:
    store, server = PodStore(), Server("a")
    store.ask(KEY)
    server.down = True
    with pytest.raises(OSError, match="down"):
        await read(store, server)
    server.down = False
    assert await read(store, server) == {"a"}
