"""A legacy client's GET stream: what its server sends without being asked (DESIGN §3, §4).

It has a connection of its own, outside the pool's. When the endpoint is lost, the stream goes on from the session's
new home without the client noticing; when the server ends it cleanly, so do we, for a client may then resume with
`Last-Event-ID`.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from mcppool.observe.logs import get_logger
from mcppool.pipeline.exchange import EVENT_STREAM, Call, Reply
from mcppool.pipeline.faults import answer_fault
from mcppool.pipeline.rehome import home_of, learn, move
from mcppool.pipeline.relay import header_lines
from mcppool.pipeline.sessions import Session
from mcppool.upstream.connection import NEVER, Connection, Response
from mcppool.upstream.failures import AttemptFailed, SessionRejected

if TYPE_CHECKING:
    from mcppool.pipeline.attempt import Outcome
    from mcppool.pipeline.pool import Pool
    from mcppool.upstream.endpoint import Endpoint

MAX_MOVES = 3  # in a row, of a stream that brings nothing in between

log = get_logger("session")


async def serve_stream(pool: Pool, call: Call, session: Session, reply: Reply, outcome: Outcome) -> None:
    """Relay the session's stream until either side ends it.

    Only cancellation is raised; it is how a client's leaving ends the stream.
    """
    begun = False
    moves = 0
    while True:
        connection: Connection | None = None
        home = session.home
        endpoint: Endpoint | None = None
        try:
            endpoint = outcome.endpoint = await home_of(pool, session, ())
            home = session.home
            outcome.attempts += 1
            connection = await endpoint.connections.open_stream()
            response = await _open(pool, call, session, endpoint, connection, b"" if session.moved else call.resume)
            if response.status != 200 or response.content_type != EVENT_STREAM:
                if begun:
                    reply.end()
                else:
                    outcome.status = "error"
                    reply.whole(response.status, header_lines(response), response.body)
                return
            if not begun:
                begun = True
                outcome.status = "success"
                reply.begin(200, header_lines(response))
            while chunk := await response.next_chunk():
                moves = 0
                reply.write(chunk)
                await reply.drain()
            reply.end()
            return
        except AttemptFailed as failure:
            moves += 1
            if moves <= MAX_MOVES and await _may_go_on(pool, session, endpoint, home, failure):
                continue
            if begun:
                log.event("stream_ended", pool=pool.name, endpoint=session.endpoint, why=failure.detail)
                reply.end()
            else:
                answer_fault(call, reply, failure, outcome)
            return
        finally:
            if connection is not None:
                connection.close()


async def _open(
    pool: Pool, call: Call, session: Session, endpoint: Endpoint, connection: Connection, resume: bytes
) -> Response:
    now = monotonic()
    data = b"GET%b%b%b%b\r\n" % (endpoint.head, session.line, resume, call.forward)
    first_byte = now + pool.spec.timeouts.first_byte
    response = await connection.request(data, now, first_byte, NEVER, NEVER, early=True)
    if response.status == 404:
        raise SessionRejected("HTTP 404")
    return response


async def _may_go_on(
    pool: Pool, session: Session, endpoint: Endpoint | None, home: tuple[str, str], failure: AttemptFailed
) -> bool:
    """Whether the stream can be opened again: the session moves where its endpoint is lost or has forgotten it."""
    if endpoint is None or pool.spec.sessions.on_loss == "fail":
        return False
    if isinstance(failure, SessionRejected) and session.home == home:  # else another call has moved it meanwhile
        if not await learn(pool, session):
            return False
        if session.home != home:
            return True
        if await pool.survived(endpoint, session.homed_at):
            return False
        if session.home != home:
            return True
        try:
            await move(pool, session, ())
        except AttemptFailed:
            return False
    return True
