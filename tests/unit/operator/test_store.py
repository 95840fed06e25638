"""Knowledge of children without the API server, and the cases that still read from it."""

from __future__ import annotations

from typing import Any

import pytest

from mcppool_operator.resources import AUTOSCALER, CONFIG_MAP, DEPLOYMENT, Kind
from mcppool_operator.store import Store

OWNER = {"apiVersion": "mcppool.dev/v1alpha1", "kind": "McpServerPool", "name": "search", "controller": True}


def child(version: int, name: str = "a", **content: Any) -> dict[str, Any]:
    metadata = {"namespace": "default", "name": name, "resourceVersion": str(version), "ownerReferences": [OWNER]}
    return {"metadata": {**metadata, "managedFields": [{"manager": "x"}]}, **content}


class Server:
    """An API server with some objects, which counts its requests."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = {found["metadata"]["name"]: found for found in objects}
        self.asked = 0

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        self.asked += 1
        return self.objects.get(name)


async def read(store: Store, server: Server, name: str = "a") -> Any:
    return await store.read(server, CONFIG_MAP, "default", name)  # type: ignore[arg-type]


async def test_an_object_from_a_watch_is_not_read_again() -> None:
    store, server = Store(), Server()
    assert store.observe(CONFIG_MAP, child(1, data={"x": "ü"}))
    assert (await read(store, server))["data"] == {"x": "ü"}
    assert server.asked == 0


async def test_an_object_from_a_read_is_known_until_a_watch_brings_a_newer_version() -> None:
    store, server = Store(), Server(child(5, data={"x": "5"}))
    assert (await read(store, server))["data"] == {"x": "5"}
    assert not store.observe(CONFIG_MAP, child(4, data={"x": "4"})), "older than what was read"
    assert not store.observe(CONFIG_MAP, child(5, data={"x": "5"})), "what was read"
    assert (await read(store, server))["data"] == {"x": "5"}
    assert store.observe(CONFIG_MAP, child(6, data={"x": "6"}))
    assert (await read(store, server))["data"] == {"x": "6"}
    assert server.asked == 1


async def test_the_event_of_a_write_of_ours_is_no_news_and_that_of_its_deletion_is() -> None:
    store, server = Store(), Server()
    store.keep(CONFIG_MAP, child(7))
    assert not store.observe(CONFIG_MAP, child(7))
    assert not store.observe(CONFIG_MAP, child(3), deleted=True), "of the object that was there before"
    assert store.observe(CONFIG_MAP, child(8), deleted=True)
    assert await read(store, server) is None
    assert server.asked == 1


async def test_an_object_without_a_pool_is_read_each_time() -> None:
    foreign = child(1)
    del foreign["metadata"]["ownerReferences"]
    store, server = Store(), Server(foreign)
    assert await read(store, server) == foreign
    assert await read(store, server) == foreign
    assert server.asked == 2


async def test_what_no_watch_has_shown_is_asked_for_only_while_the_list_is_not_complete() -> None:
    store, server = Store(), Server()
    assert await read(store, server) is None
    assert server.asked == 1
    store.listed(CONFIG_MAP)
    assert await read(store, server) is None
    assert server.asked == 1


async def test_what_a_create_has_met_is_asked_for_until_it_is_gone() -> None:
    foreign = child(1)
    del foreign["metadata"]["ownerReferences"]
    store, server = Store(), Server(foreign)
    store.listed(CONFIG_MAP)
    assert await read(store, server) is None
    store.ask(CONFIG_MAP, "default", "a")
    assert await read(store, server) == foreign
    assert await read(store, server) == foreign
    assert server.asked == 2
    server.objects.clear()
    assert await read(store, server) is None
    assert await read(store, server) is None
    assert server.asked == 3


async def test_what_a_create_has_met_is_forgotten_with_its_pool() -> None:
    store, server = Store(), Server()
    store.listed(CONFIG_MAP)
    for name in ("one-mcp-config", "one-mcp-two-mcp-config"):
        store.ask(CONFIG_MAP, "default", name)
    store.forget("other", "one")
    store.forget("default", "one-mcp-two")
    assert await read(store, server, "one-mcp-two-mcp-config") is None
    assert server.asked == 0
    assert await read(store, server, "one-mcp-config") is None
    assert server.asked == 1


async def test_a_watch_that_missed_something_makes_all_of_its_kind_unknown() -> None:
    store, server = Store(), Server(child(2))
    store.observe(CONFIG_MAP, child(1))
    store.observe(DEPLOYMENT, child(1))
    store.listed(CONFIG_MAP)
    store.unsure(CONFIG_MAP)
    assert (await read(store, server))["metadata"]["resourceVersion"] == "2"
    assert await read(store, server, "b") is None
    assert server.asked == 2
    assert not store.observe(DEPLOYMENT, child(1)), "another kind"


@pytest.mark.parametrize("version", ["", "a1"])
async def test_versions_that_cannot_be_compared_are_taken_as_they_come(version: str) -> None:
    store, other = Store(), child(1, data={"x": "1"})
    other["metadata"]["resourceVersion"] = version
    assert store.observe(CONFIG_MAP, other)
    other["data"] = {"x": "2"}
    assert store.observe(CONFIG_MAP, other)
    found = await read(store, Server())
    assert (found["data"], found["metadata"]["resourceVersion"]) == ({"x": "2"}, version)


async def test_a_version_with_the_same_content_is_no_news_and_is_known() -> None:
    store = Store()
    assert store.observe(CONFIG_MAP, child(1))
    assert not store.observe(CONFIG_MAP, child(2))
    assert (await read(store, Server()))["metadata"]["resourceVersion"] == "2"


async def test_measurements_of_an_autoscaler_are_no_news_but_its_conditions_are() -> None:
    store, asleep = Store(), [{"type": "ScalingActive", "status": "False"}]
    assert store.observe(AUTOSCALER, child(1, status={"currentMetrics": [1], "conditions": []}))
    assert not store.observe(AUTOSCALER, child(2, status={"currentMetrics": [2], "conditions": []}))
    assert store.observe(AUTOSCALER, child(3, status={"currentMetrics": [2], "conditions": asleep}))


async def test_field_owners_are_stored_for_deployments() -> None:
    store, server = Store(), Server()
    store.keep(CONFIG_MAP, child(1))
    store.keep(DEPLOYMENT, child(1))
    assert "managedFields" not in (await read(store, server))["metadata"]
    kept = await store.read(server, DEPLOYMENT, "default", "a")  # type: ignore[arg-type]
    assert kept is not None
    assert "managedFields" in kept["metadata"]
