"""`subscriptions/listen`: many clients, one upstream stream for each endpoint (design §1.10).

An event is visible only at the endpoint where it happened, so the hub listens at every endpoint, with the union of the
clients' filters; each client gets the events of its filter, under the id of its own request (`pipeline.listen_stream`).
When an endpoint comes, or comes back, the hub listens there from then on; events are not replayed, so clients then hear
that everything they watch may have changed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from time import monotonic
from typing import Protocol

from mcppool.pipeline.access.events import may_hear
from mcppool.pipeline.background import BackgroundTasks
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.local_reply.faults import answer_fault, answer_refusal
from mcppool.pipeline.local_reply.rejection import give_rejection, server_error, without_words
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.routing.outage import Outage
from mcppool.pipeline.routing.pins import Pins
from mcppool.pipeline.settings import Settings
from mcppool.pipeline.subscriptions.filter import Filter, WatchedTask, offers_tasks, parse_filter, refetch_notices
from mcppool.pipeline.subscriptions.subscriber import Subscriber
from mcppool.pipeline.subscriptions.tasks import REQUIRED, declares_tasks, opened_tasks, task_ids
from mcppool.pipeline.subscriptions.union import FilterUnion, too_many_tasks, too_much
from mcppool.pipeline.subscriptions.upstream import UpstreamSubscription
from mcppool.policy.memory_budget import MemoryAccount
from mcppool.policy.principal import Principal
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import BadAnswer, LimitReached, NoEndpoint
from mcppool.upstream.subscription_stream import ListenRefused
from mcppool.wire.errors import INVALID_PARAMS, MISSING_CLIENT_CAPABILITY
from mcppool.wire.media_types import EVENT_HEADERS
from mcppool.wire.members import UNREADABLE
from mcppool.wire.sse import render

READY_WITHIN = 2.0  # seconds that a client's acknowledgement waits for the upstream streams, so that no event is missed
TASKS_WITHIN = 15.0  # seconds that it waits for those which report its tasks: it names the tasks that they agree to
MIXED = "The server refuses to listen for these resources together with those of other clients"


class Observer(Protocol):
    """Receives changes, in addition to the clients."""

    def changed(self, method: str, uri: str | None) -> None:
        """An event has come."""

    def missed(self, what: Filter) -> None:
        """Events about these may have been missed."""


class SubscriptionHub:
    """The clients that listen to a pool, and the upstream streams that feed them."""

    def __init__(
        self,
        settings: Settings,
        endpoints: Endpoints,
        pins: Pins,
        outage: Outage,
        account: MemoryAccount,
        background: BackgroundTasks,
        rng: random.Random,
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._pins = pins
        self._outage = outage
        self._account = account
        self._background = background
        self._rng = rng
        self._clients: set[Subscriber] = set()
        self._wanted = FilterUnion()
        self._streams: dict[Endpoint, UpstreamSubscription] = {}
        self.union = Filter()
        self._own = Filter()
        self._observer: Observer | None = None

    async def serve(self, call: Call, reply: Reply, outcome: Outcome) -> None:
        """Answer a client's `subscriptions/listen`, for as long as it stays. Only cancellation is raised."""
        request_id = call.request.id or b"null"
        try:
            wanted, followed = parse_filter(call.body), task_ids(call.body)
        except UNREADABLE as error:
            message = f"params.notifications: {error}"
            answer_refusal(call, reply, outcome, 400, INVALID_PARAMS, message, None)
            return
        discover = self._settings.catalog.discover
        if call.on_behalf or not offers_tasks(discover):  # the gateway's own identity is not that of the task's owner
            followed = []
        if (problem := too_much(wanted) or too_many_tasks(followed)) is not None:
            answer_refusal(call, reply, outcome, 400, INVALID_PARAMS, problem, None)
            return
        if followed and not declares_tasks(call.body):
            message = "Following tasks takes the capability of their extension"
            answer_refusal(call, reply, outcome, 400, MISSING_CLIENT_CAPABILITY, message, REQUIRED)
            return
        principal = call.principal
        tasks = opened_tasks(followed, self._pins, principal.key)
        filter = self._audible(wanted, principal).honoured(discover).union(Filter(tasks=frozenset(tasks)))
        listener = Subscriber(request_id, filter, principal.origin(call.address), self._account, principal, tasks)
        try:
            try:
                await self.join(listener)
            except (NoEndpoint, LimitReached) as nobody:
                answer_fault(call, reply, nobody, outcome)
                return
            except ListenRefused as refusal:
                own = server_error(refusal.content_type, refusal.body)
                if refusal.status < 400 and (own is None or refusal.status >= 300):
                    answer_fault(call, reply, BadAnswer(f"{refusal}, and no stream"), outcome)
                else:
                    give_rejection(call, reply, outcome, refusal.status, own)
                return
            outcome.status = "success"
            reply.begin(200, EVENT_HEADERS)
            reply.write(render(listener.acknowledgement()))
            await reply.drain()
            while not listener.overflown:
                await listener.wait()
                while listener.events:
                    reply.write(render(listener.take()))
                    await reply.drain()
            reply.abort()  # it is behind and has missed events: the cut tells it so
        finally:
            self.leave(listener)
            listener.close()

    @property
    def clients(self) -> int:
        """Number of listening clients."""
        return len(self._clients)

    def watch(self, own: Filter, observer: Observer | None) -> None:
        """Set the filter of the pool itself, besides its clients', and its receiver."""
        self._observer = observer
        if own != self._own:
            self._own = own
            self._renew_union()
            self.follow()

    async def join(self, listener: Subscriber) -> None:
        """Feed `listener` from now on; returns once the endpoints' streams are open, or had time enough.

        Raises ListenRefused if every endpoint refuses, NoEndpoint if there is none, LimitReached if the filters of
        clients are too large already.
        """
        full = self._wanted.add(listener.filter, listener.owner)
        if full is not None:
            raise LimitReached(full)
        self._clients.add(listener)
        self._renew_union()
        for endpoint, stream in list(self._streams.items()):
            if not stream.lives:
                self._streams.pop(endpoint).stop()  # it refused an earlier union
            else:
                stream.refused = stream.refused.without(listener.filter)  # this listener gets an answer of its own
        self.follow()
        streams = list(self._streams.values())
        if not streams:
            raise self._outage.failure()
        await _ready(streams, READY_WITHIN)
        await self._report_tasks(listener.filter)
        wanted = listener.filter
        refused = [s for s in streams if s.refusal is not None and not (s.lives and wanted.at(s.name).within(s.asked))]
        if len(refused) == len(streams):
            raise self._refusal_for(listener, refused)
        reported = frozenset[WatchedTask]().union(*(stream.tasks for stream in self._streams.values()))
        listener.tasks = {task: sealed for task, sealed in listener.tasks.items() if task in reported}
        listener.joined = True

    async def _report_tasks(self, filter: Filter) -> None:
        """Wait until the endpoints of tasks have said which they report; other clients may replace their streams
        meanwhile."""
        end = monotonic() + TASKS_WITHIN
        while (left := end - monotonic()) > 0:
            pending = [s for s in self._streams.values() if not s.ready.is_set() and filter.at(s.name).tasks]
            if not pending:
                return
            await _ready(pending, left)

    def _refusal_for(self, listener: Subscriber, refused: list[UpstreamSubscription]) -> ListenRefused:
        """The refusal for a listener: about its own resources if there is one, else without the server's words, which
        may quote the URIs of others."""
        known = listener.filter.union(self._own)
        refusals = [(_quotes_none(s.tried.without(known)), s.refusal) for s in refused if s.refusal is not None]
        own = next((refusal for about_own, refusal in refusals if about_own), None)
        if own is not None:
            return own
        first = refusals[0][1]
        return ListenRefused(first.status, first.content_type, without_words(first.content_type, first.body, MIXED))

    def leave(self, listener: Subscriber) -> None:
        """A client has gone; with the last one go the upstream streams."""
        if listener not in self._clients:
            return
        self._clients.discard(listener)
        self._wanted.remove(listener.filter, listener.owner)
        self._renew_union()
        if self._listening:
            for stream in self._streams.values():
                if not stream.refused.common(listener.filter).empty:
                    stream.refused = Filter()  # the rest may have been refused because of it
            self.follow()
        else:
            self.close()

    def follow(self) -> None:
        """Listen at each endpoint that takes calls and at no other; called when these change."""
        wanted = [e for e in self._endpoints.values() if e.available] if self._listening else []
        for endpoint in [e for e in self._streams if e not in wanted]:
            stream = self._streams.pop(endpoint)
            stream.stop()
            self.lost(stream.name)
        for endpoint in wanted:
            present = self._streams.get(endpoint)
            if present is None:
                self._listen(endpoint)
            elif not self.union.at(present.name).within(present.asked.union(present.refused)):
                self._listen(endpoint, present)

    def _listen(self, endpoint: Endpoint, replaces: UpstreamSubscription | None = None) -> None:
        stream = UpstreamSubscription(self, self._settings, endpoint, self._rng, replaces)
        self._background.adopt(stream.task)
        self._streams[endpoint] = stream

    def close(self) -> None:
        """End all upstream streams."""
        for stream in self._streams.values():
            stream.stop()
        self._streams.clear()

    def dispatch(self, method: str, uri: str | None, notification: bytes) -> None:
        """Give an event to the clients with a matching filter."""
        if self._observer is not None:
            self._observer.changed(method, uri)
        for listener in self._clients:
            if listener.filter.wants(method, uri) and (uri is None or self._may_hear(listener, uri)):
                listener.offer(notification)

    def dispatch_task(self, task: WatchedTask, notification: bytes) -> None:
        """Give the state of a task to the clients that follow it."""
        for listener in self._clients:
            listener.offer_task(task, notification)

    def lost(self, endpoint: bytes) -> None:
        """Cut the clients that follow a task at an endpoint whose stream has ended: they may have missed its last
        state, which the gateway does not have. They ask for it, and may listen again."""
        for listener in self._clients:
            if listener.joined and any(task.endpoint == endpoint for task in listener.tasks):
                listener.cut()

    def _may_hear(self, listener: Subscriber, uri: str) -> bool:
        return may_hear(self._settings, listener.principal, uri)

    def _audible(self, wanted: Filter, principal: Principal) -> Filter:
        """The part of a filter that the principal may listen for."""
        if self._settings.access is None:
            return wanted
        return Filter(wanted.lists, frozenset(u for u in wanted.uris if may_hear(self._settings, principal, u)))

    def stands(self, asked: Filter, covered: Filter) -> None:
        """A stream for `asked` is open; until now there was one for `covered` only, so changes of the rest were missed.

        The endpoint is new or was away, or its stream broke: earlier listeners hear of everything that may have
        changed.
        """
        unseen = asked.without(covered)
        if self._observer is not None and not (new := self._own.common(unseen)).empty:
            self._observer.missed(new)
        for listener in self._clients:
            if listener.joined:
                for notice in refetch_notices(listener.filter.common(unseen)):
                    listener.offer(notice)

    @property
    def _listening(self) -> bool:
        return bool(self._clients) or not self._own.empty

    def _renew_union(self) -> None:
        self.union = self._own.union(self._wanted.union)


async def _ready(streams: Sequence[UpstreamSubscription], seconds: float) -> None:
    """Wait until all of them are open or refused, for so long at most."""
    waiters = [asyncio.ensure_future(stream.ready.wait()) for stream in streams if not stream.ready.is_set()]
    if not waiters:
        return
    try:
        await asyncio.wait(waiters, timeout=seconds)
    finally:
        for waiter in waiters:
            waiter.cancel()


def _quotes_none(others: Filter) -> bool:
    """Whether a refusal cannot quote what other clients listen for."""
    return not others.uris and not others.tasks
