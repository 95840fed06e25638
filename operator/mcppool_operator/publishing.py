"""Publishes the snapshot of a pool over the previous one, with the pool's own keys."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcppool.spec.resource import Resource
from mcppool_operator import metrics, sealing
from mcppool_operator.apply import PublishError, name_conflict
from mcppool_operator.children import Child, config
from mcppool_operator.condition import Condition
from mcppool_operator.key_rotation import KeyRotation
from mcppool_operator.recently_ready import RecentlyReady
from mcppool_operator.resolve import State
from mcppool_operator.resources import CONFIG_MAP, DEPLOYMENT, SECRET
from mcppool_operator.rotation import KeyState, written_state
from mcppool_operator.sealing import KeyKeeper
from mcppool_operator.work import Work

SOURCE: Final = "mcppool.dev/source"
"""Annotation of the ConfigMap: the type of the published source, the only one with children."""


def settled_source(config_map: Mapping[str, Any] | None, resource: Resource) -> str:
    """Return the type of the pool's source when its children were last complete; by default the present one."""
    annotations = ((config_map or {}).get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(SOURCE, resource.source.type))


@dataclass(frozen=True, slots=True)
class _Last:
    """The last snapshot published for a pool of this uid, and whether this leader has published it."""

    uid: str
    published: config.Published
    by_us: bool


def _has_ready_pods(deployment: Mapping[str, Any] | None) -> bool:
    return bool(((deployment or {}).get("status") or {}).get("readyReplicas"))


class Publisher:
    """Publishes under one term of leadership."""

    def __init__(self, keeper: KeyKeeper, rotation: KeyRotation, term: int) -> None:
        self._keeper = keeper
        self._rotation = rotation
        self._term = term
        self._last: dict[str, _Last] = {}  # by key
        self._recently_ready = RecentlyReady()

    def forget(self, key: str) -> None:
        """Forget a deleted pool."""
        self._last.pop(key, None)
        self._recently_ready.forget(key)
        self._rotation.forget(key)

    async def publish(self, work: Work) -> None:
        """Publish the snapshot of a pool and its endpoints, if these are known. Raises PublishError."""
        owner, outcome = work.owner, work.outcome
        before, term = self._before(work)
        outcome.published = before
        keys = await self._rotation.state(work)
        published = self._next(work, term, before, keys)
        if published is None:
            return
        own_keys = await self._has_keys(work)
        await self._write(work, published, keys, own_keys=own_keys, source=self._source(work))
        self._rotation.written(work, keys)
        changed = before is None or published.text != before.text
        if changed:
            metrics.PUBLISHED.inc()
        outcome.published = published
        known = self._last.get(work.key)
        self._last[work.key] = _Last(owner.uid, published, changed or (known is not None and known.by_us))
        if not own_keys:
            self._keeper.forget(owner.namespace, owner.name)
            raise name_conflict(SECRET, owner.keys_name)
        if changed or not _has_ready_pods(work.ours((DEPLOYMENT, owner.gateway_name))):
            # Ready gateways have the keys; one that waits for them shows in its pod.
            await work.applier.asked(SECRET, owner.keys_name, self._keeper.keep(owner))
        await self._rotation.bring(work, keys)

    async def settle(self, work: Work) -> None:
        """Record that nothing of an earlier source is left. A failure is repaired with the next change."""
        if work.outcome.error is None and work.outcome.published is not None:
            source = work.resource.source.type
            keys = self._rotation.last(work)
            await self._write(work, work.outcome.published, keys, own_keys=True, source=source)

    async def _write(
        self, work: Work, published: config.Published, keys: KeyState, *, own_keys: bool, source: str
    ) -> None:
        annotations = {SOURCE: source} | ({sealing.RECORD: work.owner.uid} if own_keys else {}) | written_state(keys)
        body = config.config_map(work.owner, published, annotations)
        await work.bring(Child(CONFIG_MAP, work.owner.config_name, body))

    def _source(self, work: Work) -> str:
        return settled_source(work.ours((CONFIG_MAP, work.owner.config_name)), work.resource)

    async def _has_keys(self, work: Work) -> bool:
        """Return whether the Secret with the keys' name belongs to the pool, or can."""
        owner = work.owner
        if sealing.recorded(work.ours((CONFIG_MAP, owner.config_name)), owner):
            return True
        # Running gateways have their keys from it: an operator without a record has created them.
        if work.ours((DEPLOYMENT, owner.gateway_name)) is not None:
            return True
        free: bool = await work.applier.asked(SECRET, owner.keys_name, self._keeper.free(owner))
        return free

    def _before(self, work: Work) -> tuple[config.Published | None, int]:
        """The last published snapshot, and the term to publish under.

        They come from the ConfigMap; or from memory, if somebody has removed the ConfigMap, or put an older or
        unreadable snapshot there.
        """
        known = self._last.get(work.key)
        last = known.published if known is not None and known.uid == work.owner.uid else None
        term = max(self._term, last.snapshot.term if last else 0)
        live = work.ours((CONFIG_MAP, work.owner.config_name))
        unchanged = last is not None and config.published_text(live) == last.text
        # Reading it costs as much as the rest of this function.
        found = last if unchanged else config.read_published(live)
        if found is None or (last is not None and found.order < last.order):
            return last, term
        by_us = last is not None and known is not None and known.by_us and found.text == last.text
        if not by_us and found.snapshot.term >= term:
            # Not below the term of the snapshot: an earlier leader whose Lease was deleted, or a person, has published
            # it. Gateways have it, and accept nothing lower.
            return found, found.snapshot.term + 1
        return found, term

    def _next(self, work: Work, term: int, before: config.Published | None, keys: KeyState) -> config.Published | None:
        """The next snapshot: while the endpoints are unknown, the present policy with the previous endpoints.

        The same holds while a source of a new type has no endpoint that could answer.
        """
        resolution, source = work.resolution, work.resource.source.type
        waits = before is not None and self._source(work) != source and not resolution.of(State.READY)
        if resolution.problem is None and not waits:
            last = config.published_endpoints(before, work.owner.name)
            published = {entry.url for entry in last if not entry.draining}
            ready = (endpoint.url for endpoint in resolution.of(State.READY))
            recent = self._recently_ready.update(work.key, ready, time.monotonic())
            endpoints = config.endpoint_specs(resolution.endpoints, published | recent)
            work.outcome.moved = True
        elif before is not None:
            endpoints = config.published_endpoints(before, work.owner.name)
        else:
            return None
        try:
            return config.next_snapshot(work.resource, endpoints, term, before, keys)
        except config.SnapshotTooLargeError as error:
            raise PublishError(Condition("Programmed", "False", "TooManyEndpoints", str(error)), wait=60.0) from None
