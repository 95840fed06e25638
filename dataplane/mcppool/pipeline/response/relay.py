"""Passes an endpoint's answer on while it comes: in parts, or event by event.

Anything but the answer to this request raises AttemptFailed, as long as the client has got nothing: then another
attempt may be made. Once a part has gone downstream there is no retry; the stream ends with an error in its own form.
"""

from __future__ import annotations

import contextlib

from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.local_reply.rejection import read_rejection
from mcppool.pipeline.response.event_relay import LINGER, EventRelay
from mcppool.pipeline.response.json_relay import relay_json
from mcppool.pipeline.response.single_event import relay_single_event
from mcppool.pipeline.response.validate import demand_status
from mcppool.pipeline.response.whole_answer import relay_whole
from mcppool.upstream.failures import AttemptFailed
from mcppool.upstream.http.response import Response
from mcppool.wire.media_types import EVENT_STREAM


async def relay_stream(attempt: Attempt, response: Response) -> None:
    """Pass on an answer that is still coming. Raises AttemptFailed while nothing of it has gone to the client."""
    demand_status(attempt, response)
    if response.status >= 400:
        relay_whole(attempt, response, await read_rejection(response))
    elif attempt.call.request.id is None:  # its sender sees no part of the reply
        relay_whole(attempt, response, b"")
    elif response.content_type == EVENT_STREAM:
        await _relay_events(attempt, response)
    else:
        await relay_json(attempt, response)


async def _relay_events(attempt: Attempt, response: Response) -> None:
    """An event stream; servers mostly send the answer as the first and only event."""
    chunk = response.take() or await response.next_chunk()
    if response.whole or not relay_single_event(attempt, response, chunk):
        relay = EventRelay(attempt, response, chunk)
        del chunk  # a large one is in memory until it is passed on, no longer
        await relay.run()
        return
    if response.complete:
        return
    response.end_within(LINGER)
    with contextlib.suppress(AttemptFailed):  # the client has its answer
        await response.next_chunk()
    attempt.reply.end()
