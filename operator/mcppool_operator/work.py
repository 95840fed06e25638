"""One pool that is being reconciled, and the result so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcppool.spec.resource import Resource
from mcppool_operator.api import Object
from mcppool_operator.apply import Applier, PublishError
from mcppool_operator.children import Child, Owner, config
from mcppool_operator.children.ownership import Ownership, ownership
from mcppool_operator.resolve import Resolution
from mcppool_operator.resources import Kind
from mcppool_operator.rotation import Wishes

Place = tuple[Kind, str]


@dataclass(slots=True)
class PublishOutcome:
    """The result of applying the children: the live objects, the published snapshot, and the first failure."""

    live: dict[Place, Object]
    published: config.Published | None = None
    moved: bool = False  # the published endpoints are those of the pool's present source
    error: PublishError | None = None
    missing: Kind | None = None  # a kind that the pool wants an object of, and the cluster does not know
    drift: str | None = None  # additions of other managers to a child
    extras: PublishError | None = None  # the first failure among children that a pool can serve without
    failures: list[PublishError] = field(default_factory=list)
    keys: Mapping[str, Any] | None = None  # the sealing keys, for the status
    keys_wait: str | None = None  # why a rotation of them does not begin
    next_key: str = ""  # the id of the one that gateways are about to accept
    due: list[float] = field(default_factory=list)  # seconds until the next steps of their rotation


@dataclass(frozen=True, slots=True)
class Work:
    """One pool that is being reconciled."""

    key: str
    owner: Owner
    resource: Resource
    resolution: Resolution
    wishes: Wishes
    created: float  # when the pool was created, in Unix seconds
    applier: Applier
    outcome: PublishOutcome

    def ours(self, place: Place) -> Object | None:
        """Return a live object if it belongs to the pool."""
        live = self.outcome.live.get(place)
        return live if live is not None and ownership(live, self.owner) is Ownership.OURS else None

    async def bring(self, child: Child) -> None:
        """Create, correct or remove one child. Raises PublishError."""
        now = await self.applier.bring(child, self.outcome.live.get(child.place))
        if now is None:
            self.outcome.live.pop(child.place, None)
        else:
            self.outcome.live[child.place] = now

    async def read(self, place: Place) -> None:
        """Read one child that is not among the usual ones, unless it is known. Raises PublishError."""
        if place not in self.outcome.live and (found := await self.applier.read(*place)) is not None:
            self.outcome.live[place] = found
