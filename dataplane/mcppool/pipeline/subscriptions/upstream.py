"""The upstream `subscriptions/listen` stream of one endpoint, kept open while clients need it.

A broken stream is opened again after a back-off. For a larger filter a second stream opens and then replaces the first,
so that no event is missed; if the endpoint refuses it, the first one goes on.
"""

from __future__ import annotations

import asyncio
import random
from typing import Protocol

from mcppool.observe.logs import get_logger
from mcppool.pipeline.routing.pins import pin_name
from mcppool.pipeline.settings import Settings
from mcppool.pipeline.subscriptions.filter import Filter, WatchedTask
from mcppool.policy.backoff import exponential, full_jitter
from mcppool.supervision import supervise
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed, BadAnswer
from mcppool.upstream.subscription_stream import ListenEvent, ListenRefused, SubscriptionStream, open_listening
from mcppool.wire.errors import BadEnvelope

log = get_logger("listen")


class Hub(Protocol):
    """The hub that gets the events. `union` is the union of its clients' filters."""

    union: Filter

    def stands(self, asked: Filter, covered: Filter) -> None:
        """A stream for `asked` is open; until now there was one for `covered` only."""

    def dispatch(self, method: str, uri: str | None, notification: bytes) -> None:
        """An event has come."""

    def dispatch_task(self, task: WatchedTask, notification: bytes) -> None:
        """A task has changed."""

    def lost(self, endpoint: bytes) -> None:
        """The stream of an endpoint has ended."""


class UpstreamSubscription:
    """Listens for the union of the listeners' filters, without the parts that the endpoint has refused.

    `asked` is its filter, `refused` the refused part; `refusal` is the endpoint's answer to the filter `tried` if this
    stream was refused: then the stream that it should have replaced, if there is one, goes on under it. `ready`: it is
    open, or was refused. `name` is the endpoint's, as tasks have it.
    """

    def __init__(
        self,
        hub: Hub,
        settings: Settings,
        endpoint: Endpoint,
        rng: random.Random,
        replaces: UpstreamSubscription | None = None,
    ) -> None:
        self._hub = hub
        self._settings = settings
        self._rng = rng
        self._endpoint = endpoint
        self._replaces = replaces
        self.refused: Filter = replaces.refused if replaces is not None else Filter()
        self.name = pin_name(endpoint.key)
        self.asked: Filter = hub.union.at(self.name).without(self.refused)
        self._tasks: frozenset[WatchedTask] = frozenset()
        self.ready = asyncio.Event()
        self.refusal: ListenRefused | None = None
        self.tried = Filter()
        self.task = supervise("listen stream", self._run, about=endpoint.key)

    @property
    def lives(self) -> bool:
        """Whether it, or the stream that goes on under it, is kept open."""
        return self.refusal is None or (self._replaces is not None and self._replaces.lives)

    @property
    def tasks(self) -> frozenset[WatchedTask]:
        """The tasks that the endpoint has agreed to report."""
        if self.refusal is None:
            return self._tasks
        return self._replaces.tasks if self._replaces is not None else frozenset()

    def stop(self) -> None:
        """End it, and the stream that it has not replaced yet."""
        self.task.cancel()
        self._end_replaced()
        self.ready.set()  # whoever waits for it looks for the stream in its place

    def _end_replaced(self) -> Filter:
        """End the stream that this one replaces; returns that stream's filter."""
        replaced, self._replaces = self._replaces, None
        if replaced is None:
            return Filter()
        covered = replaced.asked if replaced.ready.is_set() else Filter()
        replaced.stop()
        return covered

    def _fall_back(self) -> None:
        """Note that the endpoint refuses: the previous stream there goes on."""
        before = self._replaces
        if before is not None and before.refusal is not None:  # it has fallen back itself
            self._replaces, before._replaces = before._replaces, None
        goes_on = self._replaces.asked if self._replaces is not None else Filter()
        self.refused = self.refused.union(self.asked.without(goes_on))
        self.asked = goes_on

    def _report(self, change: ListenEvent) -> None:
        try:
            if change.task is not None:
                self._hub.dispatch_task(WatchedTask(self.name, change.task), change.data)
            else:
                self._hub.dispatch(change.method, change.uri, change.data)
        except BadEnvelope as error:
            raise BadAnswer(f"an event that is not JSON-RPC: {error.message}") from error
        if change.method.endswith("list_changed"):
            self._endpoint.wake_prober()

    async def _run(self) -> None:
        tries = 0
        while True:
            stream: SubscriptionStream | None = None
            asked_to_wait = 0.0
            try:
                timeouts = self._settings.spec.timeouts
                patience = timeouts.first_byte or timeouts.request
                stream = await open_listening(self._endpoint, self.asked.wire(), patience)
                self._tasks = frozenset(WatchedTask(self.name, id) for id in stream.task_ids)
                self.ready.set()
                self._hub.stands(self.asked, self._end_replaced())
                tries = 0
                while (change := await stream.next_event()) is not None:
                    self._report(change)
            except ListenRefused as refusal:
                self.refusal, self.tried = refusal, self.asked
                self._fall_back()
                self.ready.set()
                return
            except AttemptFailed as failure:
                asked_to_wait = failure.retry_after or 0.0
                log.event("listen_broken", pool=self._settings.name, endpoint=self._endpoint.key, cause=failure.detail)
            finally:
                if stream is not None:
                    stream.close()
                    self._tasks = frozenset()
            if stream is not None:
                self._hub.lost(self.name)
            tries += 1
            limits = self._settings.spec.connection_pool
            wait = exponential(tries, limits.reconnect_backoff, limits.max_reconnect_backoff)
            asked_to_wait = min(asked_to_wait, self._settings.outlier_limits.max_ejection_time)
            await asyncio.sleep(max(full_jitter(wait, self._rng), asked_to_wait))
