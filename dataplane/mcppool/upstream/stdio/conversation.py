"""The requests of many callers on one process: each under an id and a progress token of its own."""

from __future__ import annotations

import asyncio
import itertools

import msgspec

from mcppool.upstream.failures import ConnectionLost
from mcppool.upstream.stdio.process import Process
from mcppool.wire.envelope import BadEnvelope, Request, parse_response, rewrite_ids
from mcppool.wire.errors import error_body
from mcppool.wire.members import replace_at

END = None
CANCELLED = 0  # the code that the Python SDK's servers answer a cancelled request with


class _Params(msgspec.Struct):
    progressToken: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 (the wire's spelling)
    meta: dict[str, msgspec.Raw] = msgspec.field(name="_meta", default_factory=dict)


class _Notification(msgspec.Struct):
    params: _Params = msgspec.field(default_factory=_Params)


_notification = msgspec.json.Decoder(_Notification)
_SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


class Exchange:
    """One request under way: the messages that belong to it, the answer last, then None. `caller` tells apart whose
    it is, for several callers may give the same id; `answered`: no message comes after the last one."""

    def __init__(self, client_id: bytes, token: bytes | None, caller: str) -> None:
        self.client_id = client_id
        self.token = token
        self.caller = caller
        self.answered = False
        self.messages: asyncio.Queue[bytes | None] = asyncio.Queue()


class Conversation:
    """A process that several callers talk to at once."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.unsolicited: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1000)
        self._exchanges: dict[bytes, Exchange] = {}
        self._numbers = itertools.count(1)

    def begin(self, request: Request, body: bytes, caller: str = "") -> tuple[bytes, Exchange]:
        """Send a request; its id on the process, and its exchange. Raises ConnectionLost where it was not sent."""
        id = b"%d" % next(self._numbers)
        token = bytes(request.progress_token) if request.progress_token is not None else None
        exchange = Exchange(request.id or b"null", token, caller)
        self._exchanges[id] = exchange
        try:
            self.process.send(rewrite_ids(body, id=id, progress_token=id if token is not None else None))
        except BaseException:
            del self._exchanges[id]
            raise
        return id, exchange

    def id_of(self, caller: str, client_id: bytes) -> bytes | None:
        """The id on the process of the request that `caller` knows as `client_id`."""
        known = (caller, client_id)
        return next((id for id, e in self._exchanges.items() if (e.caller, e.client_id) == known), None)

    def cancelled(self, id: bytes) -> None:
        """Its caller has cancelled the request: a server need not answer it any more, and HTTP needs an answer."""
        exchange = self._exchanges.pop(id, None)
        if exchange is not None:
            self._end(exchange, error_body(exchange.client_id, CANCELLED, "Request cancelled"))

    def cancel(self, id: bytes) -> None:
        """The caller has gone before the answer came."""
        if self._exchanges.pop(id, None) is not None:
            params = {"requestId": msgspec.Raw(id), "reason": "the client has gone"}
            message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
            try:
                self.process.send(msgspec.json.encode(message))
            except ConnectionLost:
                pass  # then there is nothing to cancel any more

    def heard(self, line: bytes) -> None:
        """Take a message of the process to whom it belongs."""
        try:
            message = parse_response(line)
        except BadEnvelope:
            return  # what a program prints that should print messages only
        if message.kind == "response":
            exchange = self._exchanges.pop(message.id or b"", None)
            if exchange is not None:
                self._end(exchange, rewrite_ids(line, id=exchange.client_id, subscription_id=exchange.client_id))
            return
        exchange = self._owner(line)
        if exchange is not None:
            token = exchange.token if message.method == "notifications/progress" else None
            body = replace_at(line, ("params", "progressToken"), token) if token is not None else line
            exchange.messages.put_nowait(rewrite_ids(body, subscription_id=exchange.client_id))
        elif not self.unsolicited.full():
            self.unsolicited.put_nowait(line)

    def close(self) -> None:
        """The process has ended: no answer will come."""
        for exchange in self._exchanges.values():
            exchange.messages.put_nowait(END)
        self._exchanges.clear()

    def _end(self, exchange: Exchange, answer: bytes) -> None:
        exchange.answered = True
        exchange.messages.put_nowait(answer)
        exchange.messages.put_nowait(END)

    def _owner(self, line: bytes) -> Exchange | None:
        """The exchange that a notification names by its progress token or its subscription."""
        try:
            params = _notification.decode(line).params
        except msgspec.MsgspecError:
            return None
        if not isinstance(params.progressToken, msgspec.UnsetType):
            return self._exchanges.get(bytes(params.progressToken))
        subscription = params.meta.get(_SUBSCRIPTION)
        return self._exchanges.get(bytes(subscription)) if subscription is not None else None
