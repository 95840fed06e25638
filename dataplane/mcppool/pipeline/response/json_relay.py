"""Passes on a JSON answer that is too large to wait for: in parts, unless the gateway must read or rewrite it."""

from __future__ import annotations

from mcppool.observe.logs import get_logger
from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.response.large_answer import LargeAnswer, may_pass_in_parts
from mcppool.pipeline.response.whole_answer import header_lines, relay_whole
from mcppool.policy.memory_budget import Holding
from mcppool.turns import in_turns
from mcppool.upstream.failures import AttemptFailed, BadAnswer, NoMemory
from mcppool.upstream.http.response import Response
from mcppool.wire.bulk import BULK, Bulk, read_in_slices
from mcppool.wire.media_types import JSON

COPIES = 2  # of a held answer, at the peak: in parts and whole

log = get_logger("call")


async def relay_json(attempt: Attempt, response: Response) -> None:
    """A JSON body that is still coming. Raises AttemptFailed while nothing of it has gone to the client."""
    if not may_pass_in_parts(attempt):
        await _relay_read(attempt, response)
        return
    if response.content_type != JSON:
        raise BadAnswer(f"a large body of {response.content_type.decode('latin-1') or 'no content type'}")
    await _relay_parts(attempt, response)


async def _relay_read(attempt: Attempt, response: Response, chunk: bytes = b"") -> None:
    """Read a complete body of any size; `chunk` is the part that was already read."""
    most = attempt.context.settings.spec.limits.max_answer
    holding = Holding(attempt.context.account)
    body = Bulk()
    try:
        while chunk := chunk or await response.next_chunk():
            size = len(body) + len(chunk)
            if size > most:
                raise BadAnswer(f"an answer of more than {most} bytes (limits.max_answer)")
            if not holding.grow(COPIES * size):
                raise NoMemory
            body.extend(chunk)
            chunk = b""
        if len(body) > BULK:
            await in_turns(read_in_slices(body))
        relay_whole(attempt, response, body if len(body) > BULK else bytes(body))
    finally:
        holding.release()


async def _relay_parts(attempt: Attempt, response: Response) -> None:
    """Pass the body on as it comes. No more than one part is in memory while the client takes it."""
    reply, outcome = attempt.reply, attempt.outcome
    answer = LargeAnswer(attempt)
    chunk = await response.next_chunk()
    first = answer.begin(chunk)
    if first is None:
        await _relay_read(attempt, response, chunk)
        return
    chunk, first = answer.pass_on(first), None
    outcome.size += len(chunk)
    reply.begin(200, header_lines(response), chunk)
    outcome.status = "error"
    try:
        while True:
            chunk = b""
            response.pause()
            await reply.drain()
            chunk = await response.next_chunk()
            if not chunk:
                break
            chunk = answer.pass_on(chunk)
            if chunk:
                outcome.size += len(chunk)
                reply.write(chunk)
        rest = answer.end(answer.tail)
        if rest:
            outcome.size += len(rest)
            reply.write(rest)
    except AttemptFailed as failure:
        outcome.cut = failure.kept()
        pool = attempt.context.settings.name
        log.event("answer_cut", pool=pool, endpoint=attempt.endpoint.key, detail=failure.detail)
        reply.abort()
        return
    reply.end()
