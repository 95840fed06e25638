"""The events of a session's GET stream on their way to the client: what it may see, under the ids that it knows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mcppool.pipeline.access.events import shows_event
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.response.event_data import joined, shown_event, with_data
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.sessions.stream_position import StreamPosition
from mcppool.pipeline.settings import Settings
from mcppool.policy.memory_budget import Holding, MemoryAccount
from mcppool.turns import in_turns
from mcppool.upstream.failures import BadAnswer, NoMemory
from mcppool.upstream.http.response import Response
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.rpc_response import parse_response
from mcppool.wire.sse import PIECE, EventParser, EventTooLarge, read_large
from mcppool.wire.sse_event import Event


class StreamRelay:
    """Passes on the events of one stream after another to the client of `call`. An event that has not come whole is
    charged to `account`. `progressed` is set when an event comes; who looks at it clears it."""

    __slots__ = ("_account", "_call", "_home", "_position", "_reply", "_session", "_settings", "progressed")

    def __init__(
        self,
        settings: Settings,
        account: MemoryAccount,
        call: Call,
        session: Session,
        position: StreamPosition,
        reply: Reply,
    ) -> None:
        self._settings = settings
        self._account = account
        self._call = call
        self._session = session
        self._position = position
        self._reply = reply
        self._home = session.home
        self.progressed = False

    async def relay(self, response: Response, home: tuple[str, str]) -> None:
        """Pass on the stream that `home` has opened until it ends: whole events only, because a partial one must not
        precede the first of another stream. Raises AttemptFailed."""
        self._home = home
        parser = EventParser(self._settings.spec.limits.max_answer, in_steps=True)
        holding = Holding(self._account)
        try:
            while chunk := await response.next_chunk():
                for events in parser.feed_in_steps(chunk):
                    await self._pass_on(events)
                    if len(chunk) > PIECE:
                        await asyncio.sleep(0)
                if not holding.fit(parser.held):
                    raise NoMemory
            await self._pass_on(parser.finish())
        except EventTooLarge as error:
            await self._pass_on(error.events)
            raise BadAnswer(str(error)) from None
        finally:
            holding.release()

    async def _pass_on(self, events: list[Event]) -> None:
        if not events:
            return
        self.progressed = True
        shown: list[bytes] = []
        for event in events:
            if event.unread:
                event = await in_turns(read_large(event))
            if event.id is not None:
                self._position.note(event.id.encode(), self._home)
            shown += self._shown(event)
        for part in joined(shown):
            self._reply.write(part)
        await self._reply.drain()

    def _shown(self, event: Event) -> Sequence[bytes]:
        if not event.data:
            return (event.raw,)
        try:
            message = parse_response(event.data)
        except BadEnvelope:
            return (event.raw,)  # the client judges it, as without a gateway
        if message.kind == "response":
            return with_data(event, self._position.with_clients_id(message, event.data))
        if not shows_event(self._settings, self._call.principal, message.method, event.data):
            return ()
        return shown_event(self._session, self._home, event, message, [])
