"""The exchange of one attempt with its endpoint: lease a connection, send the request, relay the answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic

from mcppool.observe.metrics import PoolMetrics
from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.call import Call
from mcppool.pipeline.local_reply.faults import end_cancelled
from mcppool.pipeline.request_id import reissue, reissue_small
from mcppool.pipeline.response.relay import relay_stream
from mcppool.pipeline.response.single_event import relay_single_event
from mcppool.pipeline.response.whole_answer import relay_whole
from mcppool.pipeline.sessions.attendance import Attendance
from mcppool.pipeline.settings import Settings
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed, NoCredentials
from mcppool.upstream.http.awaited_answer import AwaitedAnswer
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.response import NEVER, AnswerTaker, Response
from mcppool.upstream.timeouts import within
from mcppool.wire.bulk import BULK
from mcppool.wire.media_types import EVENT_STREAM


@dataclass(frozen=True, slots=True)
class Exchange:
    """Runs the attempts of one pool. `attendance` is set if its servers are local programs with several clients."""

    settings: Settings
    metrics: PoolMetrics
    attendance: Attendance | None

    async def run(self, attempt: Attempt, answer: asyncio.Future[Response] | None = None) -> None:
        """One attempt on one endpoint; with `answer`, the rest of one that was begun by `begin`.

        Raises AttemptFailed while nothing has gone to the client.
        """
        call, plan, endpoint = attempt.call, attempt.plan, attempt.endpoint
        connection: Connection | None = None
        response: Response | None = None
        try:
            if answer is not None:
                connection = attempt.connection
            else:
                self._count(endpoint)
                now = monotonic()
                connection = endpoint.connections.try_lease(now, unsafe=plan.unsafe)
                if connection is None:
                    connection = await _lease(attempt, now)
                    now = monotonic()
                if endpoint.head.missing is not None and endpoint.head.lacks(call.on_behalf) is not None:
                    await _obtain_credentials(attempt)
                    now = monotonic()
                if call.request.id == connection.carried and call.request.id and not (attempt.reissue or call.session):
                    attempts = attempt.outcome.attempts
                    attempt.reissue = reissue_small(call.request, plan.body, attempts) or await reissue(
                        call.request, plan.body, attempts
                    )
                if attempt.outcome.cancelled:  # before it was sent
                    end_cancelled(attempt.reply, attempt.outcome)
                    return
                attempt.connection = connection
                taker = AwaitedAnswer(connection.loop)
                self._send(attempt, taker, connection, now)
                answer = taker.future
            response = await answer
            if not response.whole or not relay_at_once(attempt, response):
                await relay_stream(attempt, response)
        except AttemptFailed:
            if not attempt.outcome.cancelled:
                raise
            end_cancelled(attempt.reply, attempt.outcome)
        except asyncio.CancelledError:
            if connection is not None:
                attempt.outcome.learn("unknown" if response is None else "yes")
            raise
        finally:
            self.over(attempt, connection)

    def begin(self, attempt: Attempt, taker: AnswerTaker, connection: Connection) -> None:
        """Send the request of an attempt over its connection, at the time when it was started; `taker` gets the answer
        in a callback. After an answer it calls `over`, after anything else it lets `run` do the rest."""
        self._count(attempt.endpoint)
        self._send(attempt, taker, connection, attempt.started)

    def _send(self, attempt: Attempt, taker: AnswerTaker, connection: Connection, now: float) -> None:
        """Send the request of an attempt over its connection."""
        call, plan, session = attempt.call, attempt.plan, attempt.call.session
        connection.carried = call.request.id
        connection.tool = plan.tool
        if session is not None:
            attempt.line = session.line
        elif self.attendance is not None:
            attempt.line = _client_line(call)
        timeouts = self.settings.spec.timeouts
        first_byte = NEVER if timeouts.first_byte is None else now + timeouts.first_byte
        data, body = _rendered(attempt)
        connection.request(
            taker, data, now, first_byte, timeouts.stream_idle, plan.deadline, plan.end, attempt.movable,
            session is not None, None if session is None else session.streams, body,
        )  # fmt: skip

    def over(self, attempt: Attempt, connection: Connection | None) -> None:
        """An attempt has ended; `connection` is the one that it leased."""
        attempt.endpoint.active -= 1
        self.metrics.in_flight -= 1
        attempt.connection = None
        if connection is not None:
            connection.release()

    def _count(self, endpoint: Endpoint) -> None:
        metrics = self.metrics
        metrics.in_flight += 1
        if metrics.in_flight > metrics.peak_in_flight:
            metrics.peak_in_flight = metrics.in_flight
        endpoint.active += 1
        endpoint.stats.requests += 1


def _client_line(call: Call) -> bytes:
    """The header line that tells a local server's adapter the client of a new session."""
    if call.address and call.request.method == "initialize":
        return b"mcppool-client: %b\r\n" % call.principal.origin(call.address).encode("latin-1", "replace")
    return b""


async def _obtain_credentials(attempt: Attempt) -> None:
    """Wait for credentials that are being fetched. Raises NoCredentials."""
    try:
        async with within(attempt.plan.deadline - monotonic()):
            await attempt.endpoint.obtain_credentials()
    except TimeoutError:
        raise NoCredentials("the access token did not come within the time of the call") from None


async def _lease(attempt: Attempt, now: float) -> Connection:
    """A connection, after a wait if needed. Raises AttemptFailed."""
    call, plan, connections = attempt.call, attempt.plan, attempt.endpoint.connections
    # Calls that hold all of the pool's connections may wait for a notification; and a program that starts for a new
    # session takes nothing away from the running ones.
    if call.request.id is None or (call.address and call.request.method == "initialize"):
        return await connections.open_stream()
    return await connections.lease(now, unsafe=plan.unsafe, deadline=plan.deadline, bound=call.session is not None)


def relay_at_once(attempt: Attempt, response: Response) -> bool:
    """Pass on a whole answer; returns False for an event stream that needs a reader of its events. Raises
    AttemptFailed if it is not the answer."""
    if response.content_type == EVENT_STREAM:
        return relay_single_event(attempt, response, response.body)
    relay_whole(attempt, response, response.body)
    return True


def _rendered(attempt: Attempt) -> tuple[bytes, bytes | None]:
    """The bytes of the request; a large body stays separate, because copying it takes long."""
    call, head = attempt.call, attempt.endpoint.head
    body = attempt.plan.body if attempt.reissue is None else attempt.reissue.body
    apart = len(body) > BULK
    data = b"%b%b%b%bcontent-length: %d\r\n\r\n%b" % (
        call.verb,
        head.begin(call.query, call.on_behalf),
        attempt.line,
        attempt.plan.forward,
        len(body),
        b"" if apart else body,
    )
    return data, body if apart else None
