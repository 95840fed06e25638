"""Reconciles one pool: from the actual to the desired state.

Read the pool and its source afresh, and its children as last seen → resolve and render (pure) → apply the differences →
summarize (pure) → write the status if it changed.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcppool.spec import ConfigError
from mcppool.spec.resource import Resource, read_resource
from mcppool_operator import source
from mcppool_operator.api import KubeApi, KubeError, Object
from mcppool_operator.apply import Applier, PublishError
from mcppool_operator.autoscaling import autoscaled
from mcppool_operator.children import Child, Owner, config, selector_text
from mcppool_operator.children.deployment import account_of, under_account
from mcppool_operator.children.ownership import Ownership, ownership
from mcppool_operator.children.plan import Installation, leftovers, plan
from mcppool_operator.children.route import outside_address
from mcppool_operator.children.service import url
from mcppool_operator.children.table import ESSENTIAL
from mcppool_operator.condition import Condition
from mcppool_operator.condition_metrics import ConditionMetrics
from mcppool_operator.drift import Drifts
from mcppool_operator.events import announce, degraded_event, keys_event, not_owned_event, ready_event, tools_event
from mcppool_operator.key_rotation import KeyRotation, wishes
from mcppool_operator.observed import Observed
from mcppool_operator.optional_kinds import OptionalKinds
from mcppool_operator.optional_kinds import wanted as wanted_kinds
from mcppool_operator.probe import GatewayProber
from mcppool_operator.publishing import Publisher, settled_source
from mcppool_operator.resolve import Resolution
from mcppool_operator.resources import AUTOSCALER, CONFIG_MAP, DEPLOYMENT, POOL, SERVICE, SERVICE_ACCOUNT
from mcppool_operator.rivals import Rivals, owner_of
from mcppool_operator.status import condition, same, summarize
from mcppool_operator.store import Store
from mcppool_operator.triggers import Index, key_of, split_key
from mcppool_operator.work import Place, PublishOutcome, Work

RIVAL_RETRY: Final = 5.0
"""Seconds until the next look at a pool that another installation owns."""

KIND_RETRY: Final = 10.0
"""Seconds until the next try for a pool that wants an object of a kind unknown to the cluster."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The end of one reconcile: the seconds until the next look (None: at the pool's next event), and whether the API
    server has refused a request."""

    after: float | None = None
    refused: bool = False


class Reconciler:
    """Reconciles pools under one term of leadership."""

    def __init__(
        self, api: KubeApi, index: Index, store: Store, prober: GatewayProber, installation: Installation, term: int
    ) -> None:
        self._api = api
        self._index = index
        self._store = store
        self._prober = prober
        self._installation = installation
        self._conditions = ConditionMetrics()
        self._kinds = OptionalKinds(api)
        self._publisher = Publisher(prober.keeper, KeyRotation(prober.keeper, prober.seen), term)
        self._drifts = Drifts()
        self._rivals = Rivals(api, installation.name)
        self._left_to: dict[str, str] = {}  # pools that another installation owns, with its name

    async def reconcile(self, key: str) -> Reconciled:
        """Reconcile one pool."""
        namespace, name = split_key(key)
        pool = await self._api.get(POOL, namespace, name)
        if pool is None or pool["metadata"].get("deletionTimestamp"):
            self._forget(key)
            return Reconciled()
        if await self._has_another_class(key, pool):
            return Reconciled()
        if await self._is_left_to_another(key, pool):
            return Reconciled(RIVAL_RETRY)
        seen = Observed(
            generation=pool["metadata"]["generation"],
            previous=pool.get("status") or {},
            operator=self._installation.name,
        )
        try:
            resource = read_resource(pool)
        except ConfigError as error:
            await self._write_status(pool, seen.but(invalid=str(error)))
            return Reconciled()
        if resource.suspend:
            self._prober.forget(key)
            await self._write_status(pool, seen.but(suspended=True))
            return Reconciled()
        owner = Owner(namespace, name, pool["metadata"]["uid"])
        resolution = await source.read(self._api, owner, resource.source)
        outcome = await self._bring_about(key, pool, owner, resource, resolution)
        await self._report(key, pool, owner, resource, seen.but(resolution=resolution), outcome)
        refused = any(failure.condition.reason == "PublishFailed" for failure in outcome.failures)
        return Reconciled(_look_again(outcome), refused)

    async def _has_another_class(self, key: str, pool: Object) -> bool:
        """Return whether a pool is for operators of another class; one that was ours until now is given up."""
        if str((pool.get("spec") or {}).get("operatorClass") or "") == self._installation.operator_class:
            return False
        if owner_of(pool) == self._installation.name:
            # Its status stays, without an owner.
            status = {name: value for name, value in pool["status"].items() if name != "operator"}
            await self._apply_status(pool, status)
        self._prober.forget(key)
        self._conditions.forget(key)
        return True

    async def _is_left_to_another(self, key: str, pool: Object) -> bool:
        """Return whether another installation owns a pool; writes an Event the first time."""
        owner, us = owner_of(pool), self._installation.name
        if owner in ("", us) or not await self._rivals.holds(owner):
            self._left_to.pop(key, None)
            return False
        self._prober.forget(key)
        self._conditions.forget(key)
        if self._left_to.get(key) != owner:
            self._left_to[key] = owner
            await announce(self._api, not_owned_event(pool, owner, us, _now()))
        return True

    def _forget(self, key: str) -> None:
        self._left_to.pop(key, None)
        self._index.forget(key)
        self._store.forget(*split_key(key))
        self._drifts.forget(*split_key(key))
        self._prober.forget(key)
        self._publisher.forget(key)
        self._conditions.forget(key)

    async def _bring_about(
        self, key: str, pool: Object, owner: Owner, resource: Resource, resolution: Resolution
    ) -> PublishOutcome:
        applier = Applier(self._api, owner, self._store, self._drifts)
        asked = wanted_kinds(resource)
        served = await self._kinds.served(asked)
        wanted = plan(owner, resource, self._installation, served)
        config_map = await self._store.read(self._api, CONFIG_MAP, owner.namespace, owner.config_name)
        changed = settled_source(config_map, resource) != resource.source.type
        unwanted = leftovers(owner, wanted) if changed else []
        children = (*wanted, *unwanted)
        reads = (self._store.read(self._api, child.kind, owner.namespace, child.name) for child in children)
        found = await asyncio.gather(*reads)
        pairs = zip(children, found, strict=True)
        outcome = PublishOutcome({child.place: obj for child, obj in pairs if obj is not None})
        outcome.missing = next((kind for kind in asked if kind not in served), None)
        if config_map is not None:
            outcome.live[CONFIG_MAP, owner.config_name] = config_map
        created = datetime.datetime.fromisoformat(pool["metadata"]["creationTimestamp"]).timestamp()
        work = Work(key, owner, resource, resolution, wishes(pool, resource), created, applier, outcome)
        try:
            await self._publisher.publish(work)
        except PublishError as error:
            outcome.error = error
            outcome.failures.append(error)
        for child in wanted:
            started = child.place != (DEPLOYMENT, owner.gateway_name) or child.place in outcome.live
            if started or (outcome.error is None and outcome.published is not None):
                # Without it, pods would have nothing to mount yet, or would mount or be something of another owner.
                await _try(work, _under_account(work, child))
        if changed and outcome.error is None and outcome.moved:
            # The gateways know the endpoints of the present source: those of the previous one may go.
            for child in unwanted:
                await _try(work, child)
            await self._publisher.settle(work)
        outcome.drift = applier.drift
        return outcome

    async def _report(
        self, key: str, pool: Object, owner: Owner, resource: Resource, seen: Observed, outcome: PublishOutcome
    ) -> None:
        published = outcome.published
        has_pods = resource.source.managed is not None or _has_pods(outcome.live.get((DEPLOYMENT, owner.gateway_name)))
        sync = (
            self._prober.expect(key, published.snapshot.hash, owner, has_pods=has_pods, key_id=outcome.next_key)
            if published
            else None
        )
        if sync is None and outcome.error is None and condition(seen.previous, "Programmed") == "True":
            # The gateways are about to be asked; "unknown" for that moment would only make the status flap.
            return
        deployment = outcome.live.get((DEPLOYMENT, owner.gateway_name))
        if deployment is not None and ownership(deployment, owner) is not Ownership.OURS:
            deployment = None  # its state tells nothing about this pool
        observed = seen.but(
            published=published and config.reference(owner, published),
            published_endpoints=len(config.published_endpoints(published, owner.name)),
            failure=outcome.error.condition if outcome.error else None,
            extras=_missing(outcome),
            drift=outcome.drift,
            autoscaled=autoscaled(outcome.live.get(place) for place in _autoscalers(owner, resource)),
            sync=sync,
            deployment=deployment,
            url=url(owner, resource.gateway),
            address=outside_address(resource.gateway, outcome.live.get((SERVICE, owner.gateway_name))),
            selector=selector_text(owner.selector),
            sealing_keys=outcome.keys,
        )
        await self._write_status(pool, observed)

    async def _write_status(self, pool: Object, observed: Observed) -> None:
        now = _now()
        status = summarize(observed, now)
        self._conditions.show(key_of(pool["metadata"]["namespace"], pool["metadata"]["name"]), status)
        if same(status, observed.previous):
            return
        if not await self._apply_status(pool, status):
            return
        for event_of in (ready_event, degraded_event, tools_event, keys_event):
            if (event := event_of(pool, observed.previous, status, now)) is not None:
                await announce(self._api, event)

    async def _apply_status(self, pool: Object, status: Mapping[str, Any]) -> bool:
        metadata = {name: pool["metadata"][name] for name in ("namespace", "name", "uid")}
        body = {"apiVersion": POOL.api_version, "kind": POOL.kind, "metadata": metadata, "status": status}
        try:
            written = await self._api.apply(POOL, body, subresource="status")
        except KubeError as error:
            if error.status in (404, 409):  # deleted, or replaced by another pool of that name: an event will follow
                return False
            raise
        if _asks_the_same(pool, written):
            self._store.keep(POOL, written)  # so the event of this write is no news
        return True


def _under_account(work: Work, child: Child) -> Child:
    """The gateways' Deployment with the uid of their present account; any other child unchanged."""
    name = work.owner.gateway_name
    if child.body is None or child.place != (DEPLOYMENT, name):
        return child
    account, live = work.ours((SERVICE_ACCOUNT, name)), work.ours(child.place)
    # An account that is not known now is no reason to replace pods.
    uid = account["metadata"]["uid"] if account is not None else account_of(live or {})
    return Child(*child.place, under_account(child.body, uid)) if uid is not None else child


def _look_again(outcome: PublishOutcome) -> float | None:
    """Return the seconds until the first failure is worth another try; None: none has failed.

    Raises PublishError if the queue's back-off should decide: one lasting failure delays no other.
    """
    waits = [*outcome.due, *(failure.wait for failure in outcome.failures if failure.wait is not None)]
    waits += [] if outcome.missing is None else [KIND_RETRY]
    soonest = min(waits, default=None)
    for failure in outcome.failures:
        if failure.wait is None:
            raise PublishError(failure.condition, soonest) from failure
    return soonest


def _missing(outcome: PublishOutcome) -> Condition | None:
    """The condition of a pool whose optional object is missing."""
    if outcome.extras is not None:
        return outcome.extras.condition
    if outcome.missing is None:
        return None
    message = f"the cluster does not know {outcome.missing.kind} ({outcome.missing.group}): install its CRD"
    return Condition("Degraded", "True", "KindNotServed", message)


def _autoscalers(owner: Owner, resource: Resource) -> list[Place]:
    managed = resource.source.managed
    names = [owner.gateway_name] if resource.gateway.autoscaling is not None else []
    names += [owner.server_name] if managed is not None and managed.autoscaling is not None else []
    return [(AUTOSCALER, name) for name in names]


def _has_pods(deployment: Object | None) -> bool:
    return bool(((deployment or {}).get("status") or {}).get("replicas"))


def _asks_the_same(pool: Object, other: Object) -> bool:
    """Return whether a pool's spec is the same in two reads of it."""
    names = ("generation", "deletionTimestamp", "annotations", "labels")
    return all(pool["metadata"].get(name) == other["metadata"].get(name) for name in names)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _try(work: Work, child: Child) -> None:
    """Create, correct or remove one child; record a failure."""
    outcome = work.outcome
    try:
        await work.bring(child)
    except PublishError as error:
        outcome.failures.append(error)
        if child.kind in ESSENTIAL:
            outcome.error = outcome.error or error
        else:
            outcome.extras = outcome.extras or error
