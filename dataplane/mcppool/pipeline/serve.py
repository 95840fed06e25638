"""The way of a call, top to bottom: plan, answer locally what may be or from what is kept, limits, attempts, account.

`serve` is one coroutine that awaits lease, first byte and rest; everything that it acquires it releases in `finally`,
so that it can be cancelled at any await (a modern client that disconnects cancels its call).
"""

from __future__ import annotations

import asyncio
from functools import partial
from time import monotonic

from mcppool.pipeline.admission.concurrency_limiter import ConcurrencyLimiter
from mcppool.pipeline.admission.limits import Admission, leave
from mcppool.pipeline.attempt import Attempt, Outcome
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.hedging import hedged
from mcppool.pipeline.local_reply.discover import answer_locally, is_local
from mcppool.pipeline.local_reply.faults import answer_fault, answer_refusal
from mcppool.pipeline.local_reply.rejection import give_rejection
from mcppool.pipeline.plan import Plan, make_plan
from mcppool.pipeline.pool.access_log import account
from mcppool.pipeline.pool.feedback import failed, succeeded, undecided
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.response.cancellation import cancel, end_cancelled, find_cancelled
from mcppool.pipeline.response.relay import relay_stream, relay_whole
from mcppool.pipeline.response.request_id import reissue
from mcppool.pipeline.response.server_requests import take_answer
from mcppool.pipeline.retries import Retries
from mcppool.pipeline.routing.breakers import admit
from mcppool.pipeline.routing.waiting_room import held
from mcppool.pipeline.sessions.failover import home_of, learn
from mcppool.pipeline.sessions.get_stream import serve_stream
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.subscriptions.hub import serve_listen
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import (
    AttemptFailed,
    DeadlineExceeded,
    Hung,
    LimitReached,
    RequestRejected,
    SessionGone,
    SessionRejected,
)
from mcppool.upstream.http.connection import NEVER, Connection, Response
from mcppool.upstream.timeouts import within
from mcppool.wire.bulk import BULK
from mcppool.wire.era import Era
from mcppool.wire.errors import INVALID_PARAMS


async def serve(pool: ServerPool, call: Call, reply: Reply, outcome: Outcome | None = None) -> Outcome:
    """Answer `call` through `reply`, whatever happens, and say how it ended. Only cancellation is raised: whoever
    gives `outcome` sees there how far the call had come."""
    plan = make_plan(call, pool)
    outcome = outcome or Outcome()
    session = call.session
    if session is not None and call.request.id is not None:
        session.streams.calls[call.request.id] = outcome
    try:
        if call.session is not None and call.session.unseen and not await learn(pool, call.session):
            pool.sessions.end(call.session)
            answer_fault(call, reply, SessionGone("another gateway was told to end it"), outcome)
        elif session is not None and (target := find_cancelled(session, call)) is not None:
            await cancel(pool, target, call, reply, outcome)
        elif session is not None and call.request.is_response and not _answers(session, plan):
            outcome.status = "success"
            reply.whole(202, b"", b"")
        elif plan.refusal is not None:
            status = 400 if call.era is Era.MODERN else 200
            answer_refusal(call, reply, outcome, status, INVALID_PARAMS, plan.refusal, None)
        elif is_local(pool, call):
            if not await answer_locally(pool, call, reply, outcome):
                await _attempts(pool, call, plan, reply, outcome)
        elif call.session is not None and call.verb == b"GET":
            await serve_stream(pool, call, call.session, reply, outcome)
        elif call.request.method == "subscriptions/listen" and call.era is Era.MODERN:
            await serve_listen(pool, call, reply, outcome)
        elif plan.kept is not None and pool.caching is not None and call.request.id is not None:
            fetch = partial(
                _attempts if pool.limits is None else partial(_within_limits, pool.limits), pool, call, plan
            )
            await pool.caching.serve(call, plan, reply, outcome, partial(fetch, reply, outcome))
        elif call.request.id is None:
            await _unanswered(pool, call, plan, reply, outcome)
        elif pool.limits is None:
            await _attempts(pool, call, plan, reply, outcome)
        else:
            await _within_limits(pool.limits, pool, call, plan, reply, outcome)
    finally:
        if session is not None and session.streams.calls.get(call.request.id or b"") is outcome:
            del session.streams.calls[call.request.id or b""]
        account(pool, call, plan, outcome)
        if call.verb == b"DELETE" and call.session is not None:
            pool.sessions.tell_end(call.session)
    return outcome


def _answers(session: Session, plan: Plan) -> bool:
    """Whether somebody waits for this answer of a client to a server's question; `plan` has it in its words then."""
    body = take_answer(session, plan.body)
    if body is None:
        return False
    plan.body = body
    return True


async def _unanswered(pool: ServerPool, call: Call, plan: Plan, reply: Reply, outcome: Outcome) -> None:
    """The attempts of what wants no answer, once its rate admits it."""
    try:
        await pool.unanswered.pace(call, plan)
    except AttemptFailed as refused:
        answer_fault(call, reply, refused, outcome)
        return
    await _attempts(pool, call, plan, reply, outcome)


async def _within_limits(
    limits: Admission, pool: ServerPool, call: Call, plan: Plan, reply: Reply, outcome: Outcome
) -> None:
    """The attempts, once the pool's limits admit the call."""
    try:
        gates = await limits.enter(call, plan)
    except AttemptFailed as refused:
        answer_fault(call, reply, refused, outcome)
        return
    try:
        await _attempts(pool, call, plan, reply, outcome)
    finally:
        leave(gates)


async def _attempts(pool: ServerPool, call: Call, plan: Plan, reply: Reply, outcome: Outcome) -> None:
    """Try until there is an answer, or no more attempt is allowed."""
    retries: Retries | None = None
    failure: AttemptFailed | None = None
    session = call.session
    pool.budget.start(call.received)
    while True:
        tried = retries.tried if retries is not None else ()
        started = monotonic()
        try:
            if session is None:
                if retries is None or retries.only is None:
                    endpoint = pool.choice.endpoint_for(plan, tried, started)
                else:
                    endpoint = admit(pool, plan, retries.only, (retries.only,), started)
                if call.request.method == "initialize":
                    started = await _witnessed(pool, endpoint, plan.deadline)
            else:
                endpoint = await home_of(pool, session, tried, plan.deadline)
                home = session.home
                started = monotonic()
                if endpoint.breakers:
                    admit(pool, plan, endpoint, (endpoint,), started)
        except AttemptFailed as nobody:
            why = await held(pool, call, plan, nobody)
            if why is None:
                continue
            answer_fault(call, reply, failure or why, outcome)
            return
        place: ConcurrencyLimiter | None = None
        try:
            if call.request.id is None:
                place = await pool.unanswered.at(endpoint, call, plan)
            elif pool.limits is not None:
                place = await pool.limits.at(endpoint, plan, again=failure is not None)
                started = monotonic()
            outcome.attempts += 1
            outcome.endpoint = endpoint
            again = await reissue(call.request, plan.body, outcome.attempts) if retries and retries.sent else None
            attempt = Attempt(pool, call, plan, endpoint, reply, outcome, again, started)
            outcome.attempt = attempt
            attempt.movable = not plan.unsafe and not isinstance(failure, Hung)
            if plan.hedge_after is None or session is not None:
                await _attempt(attempt)
            else:
                await hedged(attempt, plan.hedge_after, _attempt)
            if outcome.cut is not None:  # the client has a part of it: no second attempt, and no success either
                outcome.learn("yes")
                failed(pool, attempt.endpoint, plan, outcome.cut, attempt.started)
                return
            if outcome.neutral:
                outcome.ended = undecided(pool, attempt.endpoint, plan, internal_error=outcome.internal_error)
            else:
                outcome.ended = succeeded(pool, attempt.endpoint, plan, attempt.started)
            if retries is not None:
                retries.succeeded(plan, attempt.endpoint, about_the_request=outcome.neutral)
            return
        except LimitReached as full:
            answer_fault(call, reply, failure or full, outcome)
            return
        except AttemptFailed as error:
            failure = error.kept()
            outcome.failed(failure)
            refused = retries is not None and retries.refused > 0
            failed(pool, endpoint, plan, failure, started, refused_before=refused)
        finally:
            outcome.attempt = None  # it knows the outcome: a ring would keep the call and its body in memory
            if place is not None:
                place.leave()
            pool.choice.attempt_over(endpoint, plan)
        retries = retries or Retries(pool, call.request.method)
        if session is None:
            wait = retries.next_wait(plan, endpoint, failure, None)
        else:
            wait, failure = await _after(pool, plan, retries, session, home, endpoint, failure)
        if wait is None:
            if isinstance(failure, RequestRejected):
                give_rejection(call, reply, outcome, failure.status, failure.error)
            else:
                answer_fault(call, reply, failure, outcome)
            return
        pool.metrics.retry(str(failure.error_class))
        if wait:
            await asyncio.sleep(wait)


async def _witnessed(pool: ServerPool, endpoint: Endpoint, deadline: float) -> float:
    """Have the prober's own session at `endpoint` be older than the client's that comes now; the time afterwards.

    Raises NoTime where that takes longer than the call may.
    """
    try:
        async with within(deadline - monotonic()):
            await pool.witness(endpoint)
    except TimeoutError:
        raise DeadlineExceeded("the check before its session did not end in the time that the call may take") from None
    return monotonic()


async def _after(
    pool: ServerPool,
    plan: Plan,
    retries: Retries,
    session: Session,
    home: tuple[str, str],
    endpoint: Endpoint,
    failure: AttemptFailed,
) -> tuple[float | None, AttemptFailed]:
    """How long a session's call that failed at its `home` waits for the next attempt, None where there is none; and
    what its client is told then."""
    if isinstance(failure, SessionRejected):
        try:
            return await retries.after_rejection(plan, session, endpoint, home, failure), failure
        except AttemptFailed as other:  # nobody takes the session just now; or it is not gone at all
            if not other.sent:
                return None, other
            failure = other.kept()
    wait = retries.next_wait(plan, endpoint, failure, session)
    if wait is None and not failure.sent and endpoint.lost is not None and pool.spec.sessions.on_loss == "fail":
        return None, SessionGone(failure.detail)
    return wait, failure


def _client_line(pool: ServerPool, call: Call) -> bytes:
    """Tells a local server's adapter whose new session this is; nothing for other servers."""
    if pool.attendance is not None and call.address and call.request.method == "initialize":
        return b"mcppool-client: %b\r\n" % call.address.encode("latin-1", "replace")
    return b""


async def _attempt(attempt: Attempt) -> None:
    """One try on one endpoint. Raises AttemptFailed while nothing has gone to the client."""
    call, plan, endpoint = attempt.call, attempt.plan, attempt.endpoint
    timeouts = attempt.pool.spec.timeouts
    now = monotonic()
    connection: Connection | None = None
    response: Response | None = None
    endpoint.active += 1
    endpoint.stats.requests += 1
    try:
        connection = endpoint.connections.try_lease(now, unsafe=plan.unsafe)
        if connection is None:
            # A notification may be what the calls wait for that hold all of the pool's connections; and a program that
            # starts for a new session takes nothing away from those that run.
            if call.request.id is None or (call.address and call.request.method == "initialize"):
                connection = await endpoint.connections.open_stream()
            else:
                connection = await endpoint.connections.lease(
                    now, unsafe=plan.unsafe, deadline=plan.deadline, bound=call.session is not None
                )
            now = monotonic()
        if call.request.id == connection.carried and call.request.id and attempt.reissue is None and not call.session:
            attempt.reissue = await reissue(call.request, plan.body, attempt.outcome.attempts)
        if attempt.outcome.cancelled:  # before it was sent
            end_cancelled(attempt.reply, attempt.outcome)
            return
        connection.carried = call.request.id
        connection.tool = plan.tool
        attempt.connection = connection
        attempt.line = call.session.line if call.session is not None else _client_line(attempt.pool, call)
        body = plan.body if attempt.reissue is None else attempt.reissue.body
        apart = len(body) > BULK  # to copy it takes long
        data = b"%b%b%b%bcontent-length: %d\r\n\r\n%b" % (
            call.verb,
            endpoint.head.with_query(call.query) if call.query else endpoint.head.plain,
            attempt.line,
            plan.forward,
            len(body),
            b"" if apart else body,
        )
        first_byte = NEVER if timeouts.first_byte is None else now + timeouts.first_byte
        response = await connection.request(
            data, now, first_byte, timeouts.stream_idle, plan.deadline, plan.end,
            movable=attempt.movable, bound=call.session is not None,
            clock=call.session.streams if call.session is not None else None, body=body if apart else None,
        )  # fmt: skip
        if response.whole:
            relay_whole(attempt, response, response.body)
        else:
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
        endpoint.active -= 1
        attempt.connection = None
        if connection is not None:
            connection.release()
