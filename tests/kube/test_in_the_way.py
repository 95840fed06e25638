"""Objects with a child's name that are not the pool's: named while they exist, and replaced once they are gone.

The reconciler works in this process, one pass at a time, so that a test chooses when the object goes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from mcppool_operator.api import KubeApi, KubeError, Object
from mcppool_operator.apply import CONFLICT_WAIT, PublishError
from mcppool_operator.children.deployment import GatewayImage
from mcppool_operator.children.plan import Installation
from mcppool_operator.children.table import CHILDREN
from mcppool_operator.gateways import new_session
from mcppool_operator.probe import GatewayProber
from mcppool_operator.reconcile import Reconciler
from mcppool_operator.resources import AUTOSCALER, DISRUPTION_BUDGET, POOL, ROLE, SERVICE, SERVICE_ACCOUNT, Kind
from mcppool_operator.store import Store
from mcppool_operator.triggers import Index, owning_pool
from tests.kube.administrator import Administrator, conditions
from tests.kube.pool_objects import GATEWAY

TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"}
FOREIGN: dict[Kind, dict[str, Any]] = {
    SERVICE: {"ports": [{"port": 1}]},
    DISRUPTION_BUDGET: {"maxUnavailable": 1},
    AUTOSCALER: {"scaleTargetRef": TARGET, "maxReplicas": 2},
}
CONDITION = {DISRUPTION_BUDGET: "Degraded", AUTOSCALER: "Degraded"}
KINDS = pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.kind)


class WatchedApi(KubeApi):
    """Calls `after_read` with the object, and `before_write`, before the caller goes on."""

    after_read: Callable[[Kind, Object | None], Awaitable[None]] | None = None
    before_write: Callable[[Kind], Awaitable[None]] | None = None

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        found = await super().get(kind, namespace, name)
        if self.after_read is not None:
            await self.after_read(kind, found)
        return found

    async def apply(self, kind: Kind, body: Any, **options: Any) -> Object:
        if self.before_write is not None:
            await self.before_write(kind)
        return await super().apply(kind, body, **options)


class Passes:
    """A reconciler, and the pool that it looks at."""

    def __init__(self, admin: Administrator, api: WatchedApi, reconciler: Reconciler) -> None:
        self.admin, self.api = admin, api
        self._reconciler = reconciler

    async def look(self) -> float | None:
        """One pass; after how many seconds the next one is due."""
        return (await self._reconciler.reconcile(f"{self.admin.namespace}/search")).after

    async def says(self, kind: Kind) -> str:
        """The reason of the condition that an object of a kind in the way decides."""
        return conditions(await self.admin.get(POOL, "search"))[CONDITION.get(kind, "Programmed")][1]

    async def is_the_pools(self, kind: Kind) -> bool:
        """Whether the object of the child's name belongs to the pool."""
        return owning_pool(await self.admin.get(kind, GATEWAY) or {}) is not None


@pytest.fixture(params=[False, True], ids=["before the lists", "after the lists"])
async def passes(admin: Administrator, request: pytest.FixtureRequest) -> AsyncIterator[Passes]:
    await admin.pool(
        source={"type": "Static", "static": {"endpoints": [{"url": "http://10.9.0.1:8000/mcp"}]}},
        gateway={"autoscaling": {"maxReplicas": 5}},
    )
    api = WatchedApi(admin.api._client)
    async with new_session() as session:
        prober = GatewayProber(api, session, lambda _: None)
        installation = Installation(GatewayImage("localhost/mcppool-gateway:test"))
        store = Store()
        for child in CHILDREN if request.param else ():
            store.listed(child.kind)
        yield Passes(admin, api, Reconciler(api, Index(), store, prober, installation, term=1))


@KINDS
async def test_an_object_in_the_way_that_goes_after_it_was_named_makes_room(passes: Passes, kind: Kind) -> None:
    await passes.admin.put(passes.admin.here(kind, GATEWAY, spec=FOREIGN[kind]))
    assert await passes.look() == CONFLICT_WAIT
    assert await passes.says(kind) == "NameConflict"
    assert not await passes.is_the_pools(kind)
    await passes.admin.delete(kind, GATEWAY)
    await passes.look()
    assert await passes.is_the_pools(kind)
    assert await passes.says(kind) != "NameConflict"


@KINDS
async def test_an_object_in_the_way_that_goes_between_look_and_write_makes_room(passes: Passes, kind: Kind) -> None:
    await passes.admin.put(passes.admin.here(kind, GATEWAY, spec=FOREIGN[kind]))

    async def gone(read: Kind, found: Object | None) -> None:
        if read == kind and found is not None and found["metadata"]["name"] == GATEWAY:
            passes.api.after_read = None
            await passes.admin.delete(kind, GATEWAY)

    passes.api.after_read = gone
    assert await passes.look() == CONFLICT_WAIT, "it looks again without being told of the deletion"
    assert passes.api.after_read is None
    await passes.look()
    assert await passes.is_the_pools(kind)
    assert await passes.says(kind) != "NameConflict"


@pytest.mark.parametrize("kind", [*FOREIGN, SERVICE_ACCOUNT], ids=lambda kind: kind.kind)
async def test_an_object_that_comes_between_look_and_write_is_not_taken_over(passes: Passes, kind: Kind) -> None:
    spec = {"spec": FOREIGN[kind]} if kind in FOREIGN else {}

    async def comes(written: Kind) -> None:
        if written == kind:
            passes.api.before_write = None
            await passes.admin.put(passes.admin.here(kind, GATEWAY, **spec))

    passes.api.before_write = comes
    assert await passes.look() == CONFLICT_WAIT
    assert passes.api.before_write is None
    assert not await passes.is_the_pools(kind)
    assert await passes.says(kind) == "NameConflict"


async def test_a_lasting_failure_does_not_delay_the_replacement_of_an_object_in_the_way(passes: Passes) -> None:
    await passes.admin.put(passes.admin.here(DISRUPTION_BUDGET, GATEWAY, spec=FOREIGN[DISRUPTION_BUDGET]))

    async def fails(written: Kind) -> None:
        if written == ROLE:
            raise KubeError(500, "InternalError", "again and again")

    passes.api.before_write = fails
    with pytest.raises(PublishError, match="again and again") as raised:
        await passes.look()
    assert raised.value.wait == CONFLICT_WAIT, "the back-off of the queue is at most that long"
