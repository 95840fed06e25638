"""A legacy client's GET stream, for messages that its server sends on its own (design §1.9, §2.5).

It has a connection of its own, outside the pool's. When that breaks, the stream resumes after the client's last event
id, once its server is back; when the session moves, from its new home. When the server ends it cleanly, the gateway
does the same, because a client may then resume with `Last-Event-ID`.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from math import inf
from time import monotonic

from mcppool.observe.logs import get_logger
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.local_reply.faults import answer_fault, headers_alone
from mcppool.pipeline.local_reply.rejection import CHALLENGES, pass_challenge
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.probers import Probers
from mcppool.pipeline.response.validate import demand_session
from mcppool.pipeline.response.whole_answer import header_lines
from mcppool.pipeline.routing.outage import Outage
from mcppool.pipeline.routing.picker import Picker
from mcppool.pipeline.sessions.failover import Failover
from mcppool.pipeline.sessions.resumption import Resumptions
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.sessions.stream_position import StreamPosition
from mcppool.pipeline.sessions.stream_relay import StreamRelay
from mcppool.pipeline.settings import Settings
from mcppool.policy.backoff import exponential, full_jitter
from mcppool.policy.memory_budget import MemoryAccount
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import (
    AttemptFailed,
    BadAnswer,
    NoEndpoint,
    NoMemory,
    ServerFault,
    ServerRefused,
    SessionGone,
    SessionRejected,
    TokenRefused,
)
from mcppool.upstream.http.awaited_answer import AwaitedAnswer
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.response import NEVER, Response
from mcppool.upstream.http.retry_after import asked_to_wait
from mcppool.wire.errors import INVALID_REQUEST, REASONS, Reason, error_body, fault_body
from mcppool.wire.media_types import EVENT_HEADERS, EVENT_STREAM, JSON_HEADERS
from mcppool.wire.sse import render

MAX_ATTEMPTS = 5  # to open the stream, before the client has it
STEADY = 5.0  # seconds after which a broken stream counts as having worked, even without an event
BACKOFF = 0.1  # seconds before the second attempt to open a stream again, doubled for each further one
MAX_BACKOFF = 2.0
LOOK = 0.5  # seconds after which a stream without a server looks for one again
UNAUTHORIZED = 401
# A server that has not yet noticed the end of the previous stream answers 409.
NOT_NOW = frozenset({409, 429, 503})
NO_STREAM = JSON_HEADERS + b"allow: POST, DELETE\r\n"
NO_STORE = b"cache-control: no-store\r\n"

log = get_logger("session")


@dataclass(frozen=True, slots=True)
class GetStreams:
    """Serves the GET streams of one pool. Events that wait for a client are charged to `account`."""

    settings: Settings
    endpoints: Endpoints
    picker: Picker
    outage: Outage
    failover: Failover
    resumptions: Resumptions
    probers: Probers
    account: MemoryAccount
    rng: random.Random

    async def serve(self, call: Call, session: Session, reply: Reply, outcome: Outcome) -> None:
        """Relay the session's stream until either side ends it.

        It raises only cancellation, by which a client's disconnect ends the stream.
        """
        await _SessionStream(self, call, session, reply, outcome).run()


class _Challenged(Exception):
    """A server that checks credentials itself refuses the client's."""

    def __init__(self, endpoint: Endpoint, response: Response) -> None:
        super().__init__(response.status)
        self.endpoint = endpoint
        self.response = response


class _SessionStream:
    """The stream of one client: opened, and opened again where it breaks, for as long as that has a prospect."""

    def __init__(self, streams: GetStreams, call: Call, session: Session, reply: Reply, outcome: Outcome) -> None:
        self._streams = streams
        self._failover = streams.failover
        self._call = call
        self._session = session
        self._reply = reply
        self._outcome = outcome
        self._begun = False
        self._failures = 0  # in a row
        self._failing_since = 0.0
        self._opened = inf  # when the server's stream was opened
        self._endpoint: Endpoint | None = None
        self._home = session.home
        self._position = position = StreamPosition(session, call.resume)
        self._events = StreamRelay(streams.settings, streams.account, call, session, position, reply)

    async def run(self) -> None:
        await self._position.begin(self._streams.resumptions)
        while True:
            try:
                await self._follow()
                return
            except _Challenged as challenged:
                endpoint, response = challenged.endpoint, challenged.response
                if self._begun:  # its client opens the stream again, and learns it then
                    self._reply.end()
                else:
                    pass_challenge(self._reply, self._outcome, endpoint, response, response.body)
                return
            except AttemptFailed as failure:
                if self._has_patience(failure) and await self._may_go_on(failure):
                    wait = exponential(self._failures - 1, BACKOFF, MAX_BACKOFF) if self._failures > 1 else 0.0
                    await asyncio.sleep(full_jitter(wait, self._streams.rng))
                    continue
                self._give_up(failure)
                return

    def _has_patience(self, failure: AttemptFailed) -> bool:
        """Whether to try again after one more failure: a client that has its stream keeps it for as long as a call may
        take, because many open it once and never again. An event that is too large would be so again."""
        now = monotonic()
        if self._events.progressed or now - self._opened > STEADY:
            self._failures = 0
        self._events.progressed = False
        self._opened = inf
        self._failures += 1
        if self._failures == 1:
            self._failing_since = now
        if self._begun and not isinstance(failure, (BadAnswer, NoMemory)):
            return now - self._failing_since < self._streams.settings.spec.timeouts.request
        return self._failures < MAX_ATTEMPTS

    async def _follow(self) -> None:
        """Open the stream at the session's home, and pass it on until the server ends it. Raises AttemptFailed."""
        session, reply, outcome = self._session, self._reply, self._outcome
        self._endpoint = None
        self._endpoint = endpoint = outcome.endpoint = await self._find_home()
        self._home = session.home
        if not self._begun and self._has_lost_its_answer():
            return
        outcome.attempts += 1
        connection = await endpoint.connections.open_stream()
        session.streams.open = (*session.streams.open, connection)
        try:
            response = await self._open(endpoint, connection)
            if response.status != 200 or response.content_type != EVENT_STREAM:
                self._has_none()
                return
            if not self._begun:
                self._begun = True
                outcome.status = "success"
                reply.begin(200, header_lines(response))
            self._opened = monotonic()
            await self._events.relay(response, self._home)
            reply.end()
        finally:
            session.streams.open = tuple(one for one in session.streams.open if one is not connection)
            connection.close()

    async def _find_home(self) -> Endpoint:
        """The session's home. A resumption is possible only there, as long as it answers."""
        resumes = self._position.line and not self._begun and not self._failures
        endpoint = self._streams.endpoints.holder(self._session.endpoint) if resumes else None
        if endpoint is not None and not endpoint.lost:
            return endpoint
        return await self._failover.home_of(self._session, ())

    async def _open(self, endpoint: Endpoint, connection: Connection) -> Response:
        if endpoint.head.lacks(self._call.on_behalf) is not None:
            await endpoint.head.obtain()
        session, call, now = self._session, self._call, monotonic()
        resume = self._position.line_for(self._home)
        head = endpoint.head.begin(call.query, call.on_behalf)
        data = b"GET%b%b%b%b\r\n" % (head, session.line, resume, call.forward)
        patience = self._streams.settings.spec.timeouts.first_byte
        first_byte = NEVER if patience is None else now + patience
        answer = AwaitedAnswer(connection.loop)
        connection.request(answer, data, now, first_byte, NEVER, NEVER, early=True)
        response = await answer.future
        if response.status >= 400 and response.whole:
            demand_session(response, response.body, None)
            if response.status in CHALLENGES and self._streams.settings.passthrough:
                raise _Challenged(endpoint, response)
            if response.status == UNAUTHORIZED and endpoint.head.refused(now, call.on_behalf):
                raise TokenRefused("HTTP 401")
            if response.status in NOT_NOW:
                raise ServerRefused(response.status, asked_to_wait(response))
            if response.status >= 500:
                raise ServerFault(response.status)
        if session.home != self._home:
            raise SessionRejected("the session has moved meanwhile")
        return response

    def _has_lost_its_answer(self) -> bool:
        """Tell a client that resumes an answer that its server is gone."""
        lost = self._position.lost_answer(self._home)
        if lost is None:
            return False
        reason = Reason.CONNECTION_LOST
        fault = fault_body(lost, reason, REASONS[reason].meaning, delivered="yes", attempts=1, retry_after=None)
        self._outcome.status = "error"
        self._reply.begin(200, EVENT_HEADERS)
        self._reply.write(render(fault))
        self._reply.end()
        return True

    def _has_none(self, later: bytes = b"") -> None:
        """The server has no such stream, in whatever form it says so: the client gets 405, and goes on without one.
        `later` are header lines that tell when it may ask again."""
        if self._begun:
            self._reply.end()
            return
        self._outcome.status = "error"
        body = error_body(None, INVALID_REQUEST, "This server has no stream for GET")
        self._reply.whole(405, NO_STREAM + (later or NO_STORE), body)

    def _give_up(self, failure: AttemptFailed) -> None:
        if self._begun:
            log.event(
                "stream_ended", pool=self._streams.settings.name, endpoint=self._session.endpoint, cause=failure.detail
            )
            self._reply.end()
        elif isinstance(failure, (ServerFault, ServerRefused)):
            self._has_none(later=headers_alone(self._call, failure))
        else:
            answer_fault(self._call, self._reply, failure, self._outcome)

    async def _somebody_comes(self) -> bool:
        """Wait while servers hang or start, as calls do; returns whether one takes the stream."""
        picker, outage = self._streams.picker, self._streams.outage
        until = monotonic() + self._streams.settings.spec.timeouts.request
        while not (found := bool(picker.candidates)):
            if monotonic() >= until or not (outage.stands_still or outage.starting):
                break
            await asyncio.sleep(LOOK)
        return found

    async def _may_go_on(self, failure: AttemptFailed) -> bool:
        """Whether the stream can be opened again: the session moves if its endpoint has forgotten it."""
        session, endpoint = self._session, self._endpoint
        if endpoint is None:  # there is no endpoint
            if self._begun:
                return not isinstance(failure, SessionGone)
            return isinstance(failure, NoEndpoint) and await self._somebody_comes()
        if not isinstance(failure, SessionRejected) or session.home != self._home:
            return True  # it broke; or another call has moved the session meanwhile
        stays = self._streams.settings.spec.sessions.on_loss == "fail"
        if failure.over or stays or not await self._failover.learn(session):
            return False
        if session.home != self._home:
            return True
        if await self._streams.probers.survived(endpoint, session.homed_at):
            return False
        if session.home != self._home:
            return True
        try:
            await self._failover.move(session, ())
        except AttemptFailed as nowhere:
            return self._begun and not isinstance(nowhere, SessionGone)
        return True
