"""The Secret with the sealing keys is kept present without ever being read."""

from __future__ import annotations

import base64
from typing import Any

from mcppool_operator.api import KubeApi, KubeError
from mcppool_operator.children import Owner
from mcppool_operator.resources import SECRET, Kind
from mcppool_operator.rotation import SealingKey
from mcppool_operator.sealing import RECORD, SETTLED, UNSETTLED, KeyKeeper, recorded

OWNER = Owner("team-a", "search", "uid-1")


class Secrets(KubeApi):
    """Knows the names of Secrets; `made` are the requests that made one."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.made: list[str] = []
        self.bodies: dict[str, Any] = {}

    async def create(self, kind: Kind, body: Any, *, dry_run: bool = False) -> Any:
        assert kind is SECRET
        name = body["metadata"]["name"]
        if name in self.names:
            raise KubeError(409, "AlreadyExists", f"{name} exists")
        if not dry_run:
            self.names.add(name)
            self.bodies[name] = body
            self.made.append(name)
        return body


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_name_is_free_until_there_is_a_secret_of_that_name() -> None:
    api = Secrets()
    keeper = KeyKeeper(api)
    assert await keeper.free(OWNER)
    assert api.made == []
    await keeper.keep(OWNER)
    assert not await keeper.free(OWNER)


async def test_a_secret_that_is_gone_is_made_again_sooner_where_a_gateway_waits_for_it() -> None:
    api, clock = Secrets(), Clock()
    keeper = KeyKeeper(api, clock)
    await keeper.keep(OWNER)
    api.names.clear()
    await keeper.look(OWNER, SETTLED)
    assert len(api.made) == 1
    clock.now += UNSETTLED
    await keeper.look(OWNER, UNSETTLED)
    assert len(api.made) == 2
    api.names.clear()
    clock.now += SETTLED
    await keeper.look(OWNER, SETTLED)
    assert len(api.made) == 3


async def test_a_look_creates_no_secret_under_a_name_that_may_have_another_owner() -> None:
    api = Secrets()
    keeper = KeyKeeper(api)
    await keeper.look(OWNER, 0)
    await keeper.keep(OWNER)
    keeper.forget("team-a", "search")
    api.names.clear()
    await keeper.look(OWNER, 0)
    await keeper.look(Owner("team-a", "search", "uid-2"), 0)
    assert len(api.made) == 1


def test_the_record_of_an_earlier_pool_does_not_count() -> None:
    assert recorded({"metadata": {"annotations": {RECORD: "uid-1"}}}, OWNER)
    assert not recorded({"metadata": {"annotations": {RECORD: "uid-0"}}}, OWNER)
    assert not recorded({"metadata": {}}, OWNER)
    assert not recorded(None, OWNER)


async def test_the_secret_of_a_rotation_belongs_to_its_description_and_is_kept_like_the_first() -> None:
    api, clock = Secrets(), Clock()
    keeper = KeyKeeper(api, clock)
    await keeper.keep(OWNER)
    key = SealingKey(1, "k1")
    assert await keeper.rotated(OWNER, key, "uid-of-description")
    assert not await keeper.rotated(OWNER, key, "uid-of-description")
    (owner,) = api.bodies["search-mcp-keys-1"]["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("ConfigMap", "search-mcp-keys-1", "uid-of-description")
    assert base64.b64decode(api.bodies["search-mcp-keys-1"]["data"]["keys"]).startswith(b"k1:")
    api.names.clear()
    clock.now += UNSETTLED
    await keeper.look(OWNER, UNSETTLED)
    assert api.names == {"search-mcp-keys", "search-mcp-keys-1"}
    keeper.drop(OWNER, 1)
    api.names.clear()
    clock.now += UNSETTLED
    await keeper.look(OWNER, UNSETTLED)
    assert api.names == {"search-mcp-keys"}
