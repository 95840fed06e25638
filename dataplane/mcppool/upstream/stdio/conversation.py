"""The requests of many callers on one process, each under an id and a progress token of its own.

Messages of the process are sorted as they come, in order. A message that names a request (by id, progress token or
subscription) goes to that request. Any other, such as a log message or a question to the client, belongs to a request
only if no other one is in flight; if that is ambiguous, it goes to no request.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

import msgspec

from mcppool.policy.memory_budget import MemoryAccount
from mcppool.upstream.failures import ConnectionLost
from mcppool.upstream.stdio.pending_request import Inbox, PendingRequest
from mcppool.upstream.stdio.process import LAST_WORDS, Process
from mcppool.wire.bulk import BULK
from mcppool.wire.errors import INTERNAL_ERROR, METHOD_NOT_FOUND, BadEnvelope, Reason, error_body
from mcppool.wire.large_ids import ID_FIRST, ID_LAST
from mcppool.wire.members import BOM, UNREADABLE, readable
from mcppool.wire.message_ids import canonical_id, rewrite_ids
from mcppool.wire.places import replace_at
from mcppool.wire.rpc_request import RpcRequest
from mcppool.wire.rpc_response import RpcResponse, parse_response

CANCELLED = 0  # error code of the Python SDK's servers for a cancelled request
ID_PART = 4096  # bytes of each end of a large message where its id is looked for
MAX_ABANDONED = 1000  # cancelled requests whose answer is still expected


class Callers(Enum):
    """The callers of a process."""

    SESSION = "one client, which may be told and asked anything"
    STATELESS = "many clients of the modern era"
    SHARED = "many sessions that hold no state"


class _Params(msgspec.Struct):
    progressToken: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 (the wire's spelling)
    requestId: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    meta: dict[str, msgspec.Raw] = msgspec.field(name="_meta", default_factory=dict)


class _Notification(msgspec.Struct):
    params: _Params = msgspec.field(default_factory=_Params)


_notification = msgspec.json.Decoder(_Notification)
_SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


class Conversation:
    """A process that several callers use at once.

    `unsolicited` holds the messages for the session's GET stream, while `listening`.
    """

    def __init__(
        self,
        process: Process,
        callers: Callers,
        *,
        account: MemoryAccount | None = None,
        on_unreadable: Callable[[bytes], None] = lambda _line: None,
    ) -> None:
        self.process = process
        self.callers = callers
        self.listening = False
        self.unsolicited = Inbox(account)
        self._account = account
        self._on_unreadable = on_unreadable
        self._exchanges: dict[bytes, PendingRequest] = {}
        self._abandoned: set[bytes] = set()
        self._numbers = itertools.count(1)
        self._paused = False

    @property
    def busy(self) -> bool:
        """Whether a request is in flight, apart from those aside."""
        return any(not exchange.aside for exchange in self._exchanges.values())

    @property
    def in_use(self) -> bool:
        """Whether any request is in flight."""
        return bool(self._exchanges)

    @property
    def quiet(self) -> bool:
        """Whether no future message of the process can belong to a request that is over, or in flight."""
        return not self._abandoned and not self.busy and not self.process.ended.is_set()

    @property
    def taken(self) -> bool:
        """Whether a request that asked for log messages has the process for itself."""
        return any(exchange.logs and exchange.alone for exchange in self._exchanges.values())

    async def begin(
        self, request: RpcRequest, body: bytes, caller: str = "", *, logs: bool = False, aside: bool = False
    ) -> tuple[bytes, PendingRequest]:
        """Send a request; returns its id on the process, and its exchange. Raises ConnectionLost if it was not sent.

        A `Bulk` gets its new ids in place, and must not change while it is written.
        """
        id = b"%d" % next(self._numbers)
        exchange = PendingRequest(request, caller, Inbox(self._account, self._read_on), logs=logs, aside=aside)
        if not exchange.aside and (others := [e for e in self._exchanges.values() if not e.aside]):
            for each in (exchange, *others):
                each.alone = False
        self._exchanges[id] = exchange
        try:
            await self.process.send(rewrite_ids(body, id=id, progress_token=id if exchange.token is not None else None))
        except BaseException:
            self._exchanges.pop(id, None)
            raise
        return id, exchange

    def id_of(self, caller: str, client_id: bytes) -> bytes | None:
        """The process's id of the request that `caller` knows as `client_id`."""
        known = (caller, client_id)
        return next((id for id, e in self._exchanges.items() if (e.caller, e.client_id) == known), None)

    def cancelled(self, id: bytes) -> None:
        """The caller has cancelled the request: a server need not answer it any more, but HTTP needs an answer."""
        exchange = self._abandon(id)
        if exchange is not None:
            self._end(exchange, error_body(exchange.client_id, CANCELLED, "Request cancelled"))

    def cancel(self, id: bytes, reason: str = "the client has gone") -> None:
        """The caller has disconnected before the answer came."""
        exchange = self._abandon(id)
        if exchange is not None:
            exchange.messages.clear()
            params = {"requestId": msgspec.Raw(id), "reason": reason}
            self.process.post(
                msgspec.json.encode({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})
            )

    def forget(self, id: bytes) -> None:
        """The caller no longer waits for the answer of this request, which goes on."""
        exchange = self._abandon(id)
        if exchange is not None:
            exchange.messages.clear()

    def heard(self, line: bytes) -> None:
        """Give a message of the process to the request or session that it belongs to."""
        try:
            message = parse_response(line)
        except BadEnvelope as bad:
            self._on_unreadable(line)
            if len(line) > BULK:
                self._unread(line, bad)
            return
        if message.kind == "response":
            self._answered(message, line)
        elif message.kind == "request":
            self._asked(message, line)
        else:
            self._told(message, line)

    def tell(self, pending: PendingRequest, message: bytes) -> None:
        """Give a request in flight a message about it from another process of the program."""
        if pending in self._exchanges.values():
            self._give(pending, message)

    def close(self) -> None:
        """The process has ended: no more answers will come."""
        for exchange in self._exchanges.values():
            exchange.messages.put(None)
        self._exchanges.clear()
        self._abandoned.clear()

    # --- messages of the process -----------------------------------------------------------------------------------

    def _answered(self, message: RpcResponse, line: bytes) -> None:
        id = message.id or b""
        self._abandoned.discard(id)
        if id == b"null" and message.is_error and len(self._exchanges) == 1:  # it was not able to read the id
            (id,) = self._exchanges
            line = replace_at(line, ("id",), id)
        exchange = self._exchanges.pop(id, None)
        if exchange is not None:
            self._end(exchange, rewrite_ids(line, id=exchange.client_id, subscription_id=exchange.client_id))

    def _unread(self, line: bytes, bad: BadEnvelope) -> None:
        """A large message is no JSON, or has too much outside of its result: if it answers a request, that gets an
        error, for it gets no other answer."""
        found = ID_FIRST.match(line[:ID_PART].removeprefix(BOM)) or ID_LAST.search(line[-ID_PART:])
        exchange = self._exchanges.pop(bytes(found["id"]), None) if found is not None else None
        if exchange is not None:
            why = f"The server's answer cannot be read: {bad.message}"
            data = {"reason": Reason.BAD_UPSTREAM_ANSWER, "delivered": "yes"}
            self._end(exchange, error_body(exchange.client_id, INTERNAL_ERROR, why, data))

    def _asked(self, message: RpcResponse, line: bytes) -> None:
        """A question to the client: a session has one client; without a session there is none to ask."""
        if self.callers is Callers.SESSION:
            self._give(next(iter(self._exchanges.values()), None), line, to_stream=self.listening)
        elif message.method == "ping":
            self.process.post(b'{"jsonrpc":"2.0","id":%b,"result":{}}' % (message.id or b"null"))
        else:
            why = "This process serves many clients, so that none of them can be asked"
            self.process.post(error_body(message.id, METHOD_NOT_FOUND, why))

    def _told(self, message: RpcResponse, line: bytes) -> None:
        try:
            params = _notification.decode(readable(line)).params
        except UNREADABLE:
            params = _Params()
        if message.method == "notifications/progress":
            self._progressed(params, line)
        elif (subscription := params.meta.get(_SUBSCRIPTION)) is not None:
            exchange = self._exchanges.get(canonical_id(bytes(subscription)))
            if exchange is not None:
                self._give(exchange, rewrite_ids(line, subscription_id=exchange.client_id))
        elif self.callers is Callers.SESSION:
            working = [exchange for exchange in self._exchanges.values() if not exchange.aside]
            about_a_call = message.method == "notifications/message" and len(working) == 1
            only = working[0] if about_a_call or (len(working) == 1 and not self.listening) else None
            self._give(only, line, to_stream=only is None)
        elif self.callers is Callers.STATELESS:
            if message.method == "notifications/cancelled":
                self._ended_by_server(params)
            elif message.method == "notifications/message" and (only := self._holder()) is not None:
                self._give(only, line)

    def _progressed(self, params: _Params, line: bytes) -> None:
        if isinstance(params.progressToken, msgspec.UnsetType):
            return
        exchange = self._exchanges.get(canonical_id(bytes(params.progressToken)))
        if exchange is not None and exchange.token is not None:
            self._give(exchange, replace_at(line, ("params", "progressToken"), exchange.token))

    def _ended_by_server(self, params: _Params) -> None:
        """The server ends a request: a subscription that it gives up without an answer."""
        if not isinstance(params.requestId, msgspec.UnsetType):
            exchange = self._exchanges.pop(canonical_id(bytes(params.requestId)), None)
            if exchange is not None:
                exchange.messages.put(None)

    def _holder(self) -> PendingRequest | None:
        """The only request that a log message can belong to."""
        working = [exchange for exchange in self._exchanges.values() if not exchange.aside]
        if len(working) == 1 and working[0].logs and working[0].alone and not self._abandoned:
            return working[0]
        return None

    def _give(self, exchange: PendingRequest | None, message: bytes, *, to_stream: bool = False) -> None:
        """Give it to a request, or to the session's own stream, which drops messages without a reader."""
        if exchange is None or to_stream:
            if not self.unsolicited.full:
                self.unsolicited.put(message)
            return
        exchange.messages.put(message)
        if not exchange.messages.full:
            return
        if self.callers is Callers.SESSION:
            self._paused = True  # this process serves one client only, and may wait for it
            self.process.pause()
        else:
            self._cut(exchange)

    def _cut(self, exchange: PendingRequest) -> None:
        """A caller takes its messages too slowly: others must not wait for it."""
        id = next((id for id, each in self._exchanges.items() if each is exchange), None)
        if id is not None:
            self.cancel(id, "the client takes its messages too slowly")
            exchange.messages.put(None)

    # --- inside --------------------------------------------------------------------------------------------------

    def _abandon(self, id: bytes) -> PendingRequest | None:
        exchange = self._exchanges.pop(id, None)
        if exchange is not None and not exchange.aside and len(self._abandoned) < MAX_ABANDONED:
            self._abandoned.add(id)
        self._read_on()
        return exchange

    def _read_on(self) -> None:
        if self._paused and not any(exchange.messages.full for exchange in self._exchanges.values()):
            self._paused = False
            self.process.resume()

    def _end(self, exchange: PendingRequest, answer: bytes) -> None:
        exchange.answered = True
        exchange.messages.put(answer)
        exchange.messages.put(None)


async def ask(conversation: Conversation, request: RpcRequest, body: bytes, caller: str = "") -> bytes:
    """The answer alone. Raises ConnectionLost if the process ends first; cancelling it forgets the request."""
    last: bytes | None = None
    try:
        id, exchange = await conversation.begin(request, body, caller)
        try:
            while (message := await exchange.messages.get()) is not None:
                last = message
        except BaseException:
            conversation.forget(id)
            raise
        if last is not None and exchange.answered:
            return last
    except ConnectionLost:
        pass  # its input is closed: its exit follows, and says more
    with suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS):
            await conversation.process.ended.wait()
    raise ConnectionLost(f"the program ended before it answered {request.method}: {conversation.process.end}")
