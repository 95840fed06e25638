"""Writes a pool's children: creates missing ones, corrects different ones, leaves objects of other owners alone."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from typing import Any, Final, cast

from mcppool_operator.api import MANAGER, KubeApi, KubeError, Object
from mcppool_operator.children import Child, Owner
from mcppool_operator.children.deployment import INITIAL_REPLICAS
from mcppool_operator.children.ownership import Ownership, difference, marked, ownership, owns_replicas
from mcppool_operator.children.table import ADOPTABLE
from mcppool_operator.condition import Condition
from mcppool_operator.drift import Drifts
from mcppool_operator.resources import CONFIG_MAP, DEPLOYMENT, Kind
from mcppool_operator.store import Store

log = logging.getLogger(__name__)

CONFLICT_WAIT: Final = 5.0
HOPELESS_WAIT: Final = 60.0

REPLICAS_MANAGER: Final = f"{MANAGER}-replicas"
"""The field manager of a number of replicas that the pool does not set, until another manager writes it."""


NO_OBJECT: Final = "1"
"""A resource version that no object has: an apply with it creates an object, or fails with 409 if there is one."""


class PublishError(Exception):
    """A child could not be brought to its desired state; `condition` is its entry for the pool's status.

    `wait`: upper bound on the seconds until the next try; None for the usual back-off.
    """

    def __init__(self, condition: Condition, wait: float | None = None) -> None:
        super().__init__(condition.message)
        self.condition = condition
        self.wait = wait


def name_conflict(kind: Kind, name: str) -> PublishError:
    """Return the error for an object with a child's name that does not belong to this pool."""
    message = f'{kind.kind} "{name}" exists and does not belong to this pool; rename or delete one of the two'
    return PublishError(Condition("Programmed", "False", "NameConflict", message), CONFLICT_WAIT)


class Applier:
    """Writes the children of one pool, and records them in `store`."""

    def __init__(self, api: KubeApi, owner: Owner, store: Store, drifts: Drifts) -> None:
        self._api = api
        self._owner = owner
        self._store = store
        self._drifts = drifts
        self.drift: str | None = None
        """Additions of other managers to a child, which apply does not remove."""

    async def bring(self, child: Child, live: Object | None) -> Object | None:
        """Create, correct or remove one child, given its last read; returns its current state. Raises PublishError."""
        if child.body is None:
            if live is not None and ownership(live, self._owner) is Ownership.OURS:
                await self._write(child.kind, child.name, self._api.delete(child.kind, live))
                self._store.drop(child.kind, self._owner.namespace, child.name)
                self._log("removed", child)
            return None
        desired = marked(child.body)
        place = (child.kind, self._owner.namespace, child.name)
        if live is not None:
            self.must_be_ours(child.kind, live)
            found = difference(desired, live)
            if found is None:
                return live
            if self._drifts.is_known(place, desired, live):
                self._note_drift(child, found)
                return live
            if child.kind is DEPLOYMENT and "replicas" not in desired["spec"] and owns_replicas(live, MANAGER):
                live = await self._hand_over(child, live)
            # The object that was read must still exist. The snapshot must even be unchanged: a deposed leader that does
            # not know of its successor fails here instead of overwriting the successor's snapshot.
            desired = _same_object(desired, live, unchanged=child.kind is CONFIG_MAP)
            applied: Object = await self._write(child.kind, child.name, self._api.apply(child.kind, desired))
        else:
            applied = await self._create(child, desired)
        self._store.keep(child.kind, applied)
        self._log("applied", child)
        if found := self._drifts.note(place, desired, applied):
            self._note_drift(child, found)
        return applied

    async def _create(self, child: Child, desired: Object) -> Object:
        """Create a child. New gateways get a number of replicas, which autoscalers and people may change."""
        first = {**desired, "metadata": {**desired["metadata"], "resourceVersion": NO_OBJECT}}
        if child.place == (DEPLOYMENT, self._owner.gateway_name):
            first["spec"] = {"replicas": INITIAL_REPLICAS, **desired["spec"]}
        try:
            return cast(Object, await self._write(child.kind, child.name, self._api.apply(child.kind, first)))
        except PublishError:
            reading = self._store.read(self._api, child.kind, self._owner.namespace, child.name)
            found = await self._write(child.kind, child.name, reading)
            if found is None:
                raise
            self.must_be_ours(child.kind, found)
            if child.kind is CONFIG_MAP:  # its next content depends on this one
                raise
        return cast(Object, await self.bring(child, found))

    async def _hand_over(self, child: Child, live: Object) -> Object:
        """Give up the ownership of the number of replicas, so that the operator's applies do not reset it."""
        body = {
            "apiVersion": child.kind.api_version,
            "kind": child.kind.kind,
            "metadata": {name: live["metadata"][name] for name in ("namespace", "name")},
            "spec": {"replicas": live["spec"].get("replicas", 1)},
        }
        body = _same_object(body, live, unchanged=False)
        request = self._api.apply(child.kind, body, manager=REPLICAS_MANAGER, force=False)
        try:
            return cast(Object, await self._write(child.kind, child.name, request))
        except PublishError as error:
            if error.condition.reason != "Pending":
                raise
            return live  # another manager has set the number by now

    async def read(self, kind: Kind, name: str) -> Object | None:
        """Return one child as last seen; None if there is none. Raises PublishError."""
        reading = self._store.read(self._api, kind, self._owner.namespace, name)
        return cast(Object | None, await self._write(kind, name, reading))

    async def asked(self, kind: Kind, name: str, request: Awaitable[Any]) -> Any:
        """Return the result of a request for one child. Raises PublishError."""
        return await self._write(kind, name, request)

    def must_be_ours(self, kind: Kind, live: Object) -> None:
        """Raise PublishError for an object that this pool does not control."""
        whose = ownership(live, self._owner)
        name = live["metadata"]["name"]
        if whose is Ownership.LEFTOVER:
            message = f'{kind.kind} "{name}" of a deleted pool of the same name is still being removed'
            raise PublishError(Condition("Programmed", "Unknown", "Pending", message))
        if whose is Ownership.FOREIGN or (whose is Ownership.OFFERED and not ADOPTABLE[kind]):
            raise name_conflict(kind, name)

    def _note_drift(self, child: Child, found: str) -> None:
        text = f'{child.kind.kind} "{child.name}": {found}; another manager has added it and must remove it'
        self.drift = self.drift or text

    async def _write(self, kind: Kind, name: str, request: Awaitable[Any]) -> Any:
        try:
            return await request
        except KubeError as error:
            self._store.drop(kind, self._owner.namespace, name)  # the stored version may be the cause
            if error.status == 409:
                self._store.ask(kind, self._owner.namespace, name)
                message = f'{kind.kind} "{name}" has just been changed by someone else'
                raise PublishError(Condition("Programmed", "Unknown", "Pending", message)) from error
            # An early retry changes nothing about permissions and validation.
            wait = HOPELESS_WAIT if error.status in (403, 422) else None
            message = f'{kind.kind} "{name}" could not be written: {error}'
            raise PublishError(Condition("Programmed", "False", "PublishFailed", message), wait) from error

    def _log(self, what: str, child: Child) -> None:
        pool = f"{self._owner.namespace}/{self._owner.name}"
        log.info(what, extra={"pool": pool, "kind": child.kind.kind, "object": child.name})


def _same_object(desired: Mapping[str, Any], live: Object, *, unchanged: bool) -> Object:
    """Add the precondition that the written object is the one that was read: by uid, or by version."""
    fields = ("uid", "resourceVersion") if unchanged else ("uid",)
    return {**desired, "metadata": {**desired["metadata"], **{field: live["metadata"][field] for field in fields}}}
