"""`subscriptions/listen`: many clients, one upstream stream for each endpoint (design §1.10).

An event is visible only at the endpoint where it happened, so the hub listens at every endpoint, with the union of the
clients' filters; each client gets the events of its filter, under the id of its own request (`pipeline.listen_stream`).
When an endpoint comes, or comes back, the hub listens there from then on; events are not replayed, so clients then hear
that everything they watch may have changed.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Protocol

import msgspec

from mcppool.pipeline.access.events import may_hear
from mcppool.pipeline.background import BackgroundTasks
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.local_reply.faults import answer_fault, answer_refusal
from mcppool.pipeline.local_reply.rejection import give_rejection, server_error, without_words
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.routing.outage import Outage
from mcppool.pipeline.settings import Settings
from mcppool.pipeline.subscriptions.filter import Filter, parse_filter, refetch_notices
from mcppool.pipeline.subscriptions.union import FilterUnion, too_much
from mcppool.pipeline.subscriptions.upstream import UpstreamSubscription
from mcppool.policy.memory_budget import MemoryAccount
from mcppool.policy.principal import ANONYMOUS, Principal
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import BadAnswer, LimitReached, NoEndpoint
from mcppool.upstream.subscription_stream import ListenRefused
from mcppool.wire.errors import INVALID_PARAMS
from mcppool.wire.media_types import EVENT_HEADERS
from mcppool.wire.members import UNREADABLE
from mcppool.wire.message_ids import rewrite_ids
from mcppool.wire.sse import render

READY_WITHIN = 2.0  # seconds that a client's acknowledgement waits for the upstream streams, so that no event is missed
MAX_QUEUED = 1000
MAX_QUEUED_BYTES = 1024 * 1024
"""Upper bound in bytes on the events that wait for one client; a slower reader is cut, and may come back. A single
event may be larger."""

MIXED = "The server refuses to listen for these resources together with those of other clients"


class Observer(Protocol):
    """Receives changes, in addition to the clients."""

    def changed(self, method: str, uri: str | None) -> None:
        """An event has come."""

    def missed(self, what: Filter) -> None:
        """Events about these may have been missed."""


class Subscriber:
    """One client's stream: its request's id, its filter, and the events that wait to be written.

    `owner` is the client that its filter counts for. `joined`: it has heard, or is about to hear, that from now on it
    gets every change.
    """

    __slots__ = ("_account", "_wake", "events", "filter", "id", "joined", "overflown", "owner", "principal", "queued")

    def __init__(
        self, id: bytes, filter: Filter, owner: str, account: MemoryAccount, principal: Principal = ANONYMOUS
    ) -> None:
        self.id = id
        self.filter = filter
        self.owner = owner
        self.principal = principal
        self.events: deque[bytes] = deque()
        self.queued = 0  # bytes
        self._account = account
        self.joined = False
        self.overflown = False
        self._wake = asyncio.Event()

    def offer(self, notification: bytes) -> None:
        """Queue an event, under this client's own subscription id."""
        event = rewrite_ids(notification, subscription_id=self.id)
        if (
            len(self.events) >= MAX_QUEUED
            or (self.events and self.queued + len(event) > MAX_QUEUED_BYTES)
            or not self._account.reserve(len(event))
        ):
            self.overflown = True
        else:
            self.events.append(event)
            self.queued += len(event)
        self._wake.set()

    def take(self) -> bytes:
        """The event that has waited longest."""
        event = self.events.popleft()
        self.queued -= len(event)
        self._account.release(len(event))
        return event

    def close(self) -> None:
        """Drop the events that still wait."""
        while self.events:
            self.take()

    async def wait(self) -> None:
        """Wait until there is an event."""
        self._wake.clear()
        if not self.events and not self.overflown:
            await self._wake.wait()


class SubscriptionHub:
    """The clients that listen to a pool, and the upstream streams that feed them."""

    def __init__(
        self,
        settings: Settings,
        endpoints: Endpoints,
        outage: Outage,
        account: MemoryAccount,
        background: BackgroundTasks,
        rng: random.Random,
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints
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
            wanted = parse_filter(call.body)
        except UNREADABLE as error:
            message = f"params.notifications: {error}"
            answer_refusal(call, reply, outcome, 400, INVALID_PARAMS, message, None)
            return
        if (problem := too_much(wanted)) is not None:
            answer_refusal(call, reply, outcome, 400, INVALID_PARAMS, problem, None)
            return
        filter = self._audible(wanted, call.principal).honoured(self._settings.catalog.discover)
        listener = Subscriber(request_id, filter, call.principal.origin(call.address), self._account, call.principal)
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
            reply.write(render(_acknowledgement(listener)))
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
        waiters = [asyncio.ensure_future(stream.ready.wait()) for stream in streams]
        try:
            await asyncio.wait(waiters, timeout=READY_WITHIN)
        finally:
            for waiter in waiters:
                waiter.cancel()
        refused = [s for s in streams if s.refusal is not None and not (s.lives and listener.filter.within(s.asked))]
        if len(refused) == len(streams):
            raise self._refusal_for(listener, refused)
        listener.joined = True

    def _refusal_for(self, listener: Subscriber, refused: list[UpstreamSubscription]) -> ListenRefused:
        """The refusal for a listener: about its own resources if there is one, else without the server's words, which
        may quote the URIs of others."""
        known = listener.filter.uris | self._own.uris
        refusals = [(s.tried.uris <= known, s.refusal) for s in refused if s.refusal is not None]
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
            self._streams.pop(endpoint).stop()
        for endpoint in wanted:
            stream = self._streams.get(endpoint)
            if stream is None:
                self._listen(endpoint)
            elif not self.union.within(stream.asked.union(stream.refused)):
                self._listen(endpoint, stream)

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


def _acknowledgement(listener: Subscriber) -> bytes:
    return msgspec.json.encode(
        {
            "jsonrpc": "2.0",
            "method": "notifications/subscriptions/acknowledged",
            "params": {
                "_meta": {"io.modelcontextprotocol/subscriptionId": msgspec.Raw(listener.id)},
                "notifications": listener.filter.wire(),
            },
        }
    )
