"""`subscriptions/listen`: many clients, one upstream stream for each endpoint (DESIGN §3).

An event is seen only where it happened, so every endpoint is listened to, with the union of what the clients asked
for; each client gets the events that it asked for, under the id of its own request. A stream that breaks is opened
again after a back-off, and an endpoint that comes, or comes back, is listened to from then on; since nothing is
replayed, clients are then told that what they watch may have changed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import msgspec

from mcppool.observe.logs import get_logger
from mcppool.pipeline.exchange import Call, Reply
from mcppool.pipeline.faults import answer_fault, answer_refusal
from mcppool.pipeline.subscriptions import Filter, parse_filter, refetch_notices
from mcppool.policy.backoff import exponential, full_jitter
from mcppool.upstream.failures import AttemptFailed, NoEndpoint
from mcppool.upstream.listening import Listening, ListenRefused, open_listening
from mcppool.wire.envelope import rewrite_ids
from mcppool.wire.errors import INVALID_PARAMS
from mcppool.wire.sse import render

if TYPE_CHECKING:
    from mcppool.pipeline.attempt import Outcome
    from mcppool.pipeline.pool import Pool
    from mcppool.upstream.endpoint import Endpoint

HEADERS = b"content-type: text/event-stream\r\ncache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\n"
PING_EVERY = 15.0  # seconds of silence after which a comment shows both sides that the stream lives
READY_WITHIN = 2.0  # seconds that a client's acknowledgement waits for the upstream streams, so that no event is missed
MAX_QUEUED = 1000  # events that wait for one client; one that reads so slowly is cut, and may come back

log = get_logger("listen")


class Observer(Protocol):
    """Who is told of changes besides the clients."""

    def changed(self, method: str, uri: str | None) -> None:
        """An event has come."""

    def missed(self, what: Filter) -> None:
        """Events about these may have been missed."""


class Listener:
    """One client's stream: its request's id, what it asked for, and the events that wait to be written.

    `joined`: it has been told, or is about to be, that from now on it hears of every change.
    """

    __slots__ = ("_wake", "events", "filter", "id", "joined", "overflown")

    def __init__(self, id: bytes, filter: Filter) -> None:
        self.id = id
        self.filter = filter
        self.events: deque[bytes] = deque()
        self.joined = False
        self.overflown = False
        self._wake = asyncio.Event()

    def offer(self, notification: bytes) -> None:
        """Queue an event, under this client's own subscription id."""
        if len(self.events) >= MAX_QUEUED:
            self.overflown = True
        else:
            self.events.append(rewrite_ids(notification, subscription_id=self.id))
        self._wake.set()

    async def wait(self, seconds: float) -> None:
        """Until there is an event, or for so long."""
        self._wake.clear()
        if self.events or self.overflown:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass


class Listeners:
    """The clients that listen to a pool, and the upstream streams that feed them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._clients: set[Listener] = set()
        self._streams: dict[Endpoint, _Stream] = {}
        self.union = Filter()
        self._own = Filter()
        self._observer: Observer | None = None

    @property
    def clients(self) -> int:
        """How many listen."""
        return len(self._clients)

    def watch(self, own: Filter, observer: Observer | None) -> None:
        """What the pool itself listens for from now on, besides its clients, and who is told."""
        self._observer = observer
        if own != self._own:
            self._own = own
            self._renew_union()
            self.follow()

    async def join(self, listener: Listener) -> None:
        """Feed `listener` from now on; returns once the endpoints' streams stand, or have had time enough.

        Raises ListenRefused where every endpoint refuses, NoEndpoint where there is none.
        """
        self._clients.add(listener)
        self._renew_union()
        for endpoint in [e for e, stream in self._streams.items() if stream.refusal is not None]:
            self._streams.pop(endpoint).stop()  # what it refused was an earlier union
        self.follow()
        streams = list(self._streams.values())
        if not streams:
            raise NoEndpoint("no endpoint is available")
        waiters = [asyncio.ensure_future(stream.ready.wait()) for stream in streams]
        try:
            await asyncio.wait(waiters, timeout=READY_WITHIN)
        finally:
            for waiter in waiters:
                waiter.cancel()
        refusals = [s.refusal for s in streams if s.refusal is not None]
        if len(refusals) == len(streams):
            raise refusals[0]
        listener.joined = True

    def leave(self, listener: Listener) -> None:
        """A client has gone; with the last one go the upstream streams."""
        self._clients.discard(listener)
        self._renew_union()
        if not self._listening:
            self.close()

    def follow(self) -> None:
        """Listen to each endpoint that takes calls and to no other; called when that changes."""
        wanted = [e for e in self._pool.endpoints.values() if e.available] if self._listening else []
        for endpoint in [e for e in self._streams if e not in wanted]:
            self._streams.pop(endpoint).stop()
        for endpoint in wanted:
            stream = self._streams.get(endpoint)
            if stream is None:
                self._streams[endpoint] = _Stream(self, self._pool, endpoint)
            elif not self.union.within(stream.asked):
                self._streams[endpoint] = _Stream(self, self._pool, endpoint, stream)

    def close(self) -> None:
        """End all upstream streams."""
        for stream in self._streams.values():
            stream.stop()
        self._streams.clear()

    def dispatch(self, method: str, uri: str | None, notification: bytes) -> None:
        """Give an event to the clients that asked for it."""
        if self._observer is not None:
            self._observer.changed(method, uri)
        for listener in self._clients:
            if listener.filter.wants(method, uri):
                listener.offer(notification)

    def stands(self, covered: Filter) -> None:
        """A stream stands; until now there was one for `covered` only, so changes of the rest have gone by unseen.

        The endpoint is new or was away, or its stream broke: who listened already is told of all that may have changed.
        """
        if self._observer is not None and not (new := self._own.without(covered)).empty:
            self._observer.missed(new)
        for listener in self._clients:
            if listener.joined:
                for notice in refetch_notices(listener.filter.without(covered)):
                    listener.offer(notice)

    @property
    def _listening(self) -> bool:
        return bool(self._clients) or not self._own.empty

    def _renew_union(self) -> None:
        union = self._own
        for listener in self._clients:
            union = union.union(listener.filter)
        self.union = union


class _Stream:
    """The upstream stream of one endpoint, opened again for as long as it is wanted.

    One that asks for more `replaces` another, which goes when this one stands, so that no event falls in between.
    """

    def __init__(self, listeners: Listeners, pool: Pool, endpoint: Endpoint, replaces: _Stream | None = None) -> None:
        self._listeners = listeners
        self._pool = pool
        self._endpoint = endpoint
        self._replaces = replaces
        self.asked = listeners.union
        self.ready = asyncio.Event()
        self.refusal: ListenRefused | None = None
        self._task = asyncio.create_task(self._run(), name=f"listen {endpoint.key}")

    def stop(self) -> None:
        """End it, and what it has not yet replaced."""
        self._task.cancel()
        self._end_replaced()

    def _end_replaced(self) -> Filter:
        """End the stream that this one replaces; what that one listened for."""
        replaced, self._replaces = self._replaces, None
        if replaced is None:
            return Filter()
        replaced.stop()
        return replaced.asked if replaced.ready.is_set() and replaced.refusal is None else Filter()

    async def _run(self) -> None:
        tries = 0
        while True:
            stream: Listening | None = None
            try:
                stream = await open_listening(self._endpoint, self.asked.wire(), self._pool.spec.timeouts.first_byte)
                self.ready.set()
                self.refusal = None
                self._listeners.stands(self._end_replaced())
                tries = 0
                while (event := await stream.next_event()) is not None:
                    self._listeners.dispatch(*event)
                    if event[0].endswith("list_changed"):
                        self._endpoint.wake_prober()
            except ListenRefused as refusal:
                self.refusal = refusal
                self.ready.set()
                self._end_replaced()
                return
            except AttemptFailed as failure:
                log.event("listen_broken", pool=self._pool.name, endpoint=self._endpoint.key, why=failure.detail)
            finally:
                if stream is not None:
                    stream.close()
            tries += 1
            limits = self._pool.spec.connection_pool
            wait = exponential(tries, limits.reconnect_backoff, limits.max_reconnect_backoff)
            await asyncio.sleep(full_jitter(wait, self._pool.rng))


async def serve_listen(pool: Pool, call: Call, reply: Reply, outcome: Outcome) -> None:
    """Answer a client's `subscriptions/listen`, for as long as it stays. Only cancellation is raised."""
    request_id = call.request.id or b"null"
    try:
        wanted = parse_filter(call.body)
    except msgspec.MsgspecError as error:
        message = f"params.notifications: {error}"
        answer_refusal(call, reply, outcome, 400, INVALID_PARAMS, message, None)
        return
    listener = Listener(request_id, wanted.honoured(pool.catalog.discover))
    try:
        try:
            await pool.listeners.join(listener)
        except NoEndpoint as nobody:
            answer_fault(call, reply, nobody, outcome)
            return
        except ListenRefused as refusal:
            outcome.status = "error"
            reply.whole(refusal.status, refusal.headers, rewrite_ids(refusal.body, id=request_id))
            return
        outcome.status = "success"
        reply.begin(200, HEADERS)
        reply.write(render(_acknowledgement(listener)))
        last = monotonic()
        while not listener.overflown:
            await listener.wait(PING_EVERY)
            while listener.events:
                reply.write(render(listener.events.popleft()))
                last = monotonic()
                await reply.drain()
            if monotonic() - last >= PING_EVERY:
                reply.write(b": ping\n\n")
                last = monotonic()
                await reply.drain()
        reply.abort()  # it is behind and has missed events: it must see that
    finally:
        pool.listeners.leave(listener)


def _acknowledgement(listener: Listener) -> bytes:
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
