"""A server that answers one kind of request with a text of the test, and everything else correctly."""

from __future__ import annotations

import asyncio
import json
import re
from itertools import count

from tests.fuzz.server_inputs import PAUSE
from tests.servers.faults import Exchange, FaultServer

_ID = re.compile(rb'"id":\s*("(?:[^"\\]|\\.)*"|-?[0-9.eE+-]+)')
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%b"
PRIMING = b"id: 1\nretry: 50\ndata: \n\n: hello\n\n"


class Liar(FaultServer):
    """`lie` answers requests of the method (or, without a body, the verb) `about`; None: they are answered well.

    `modern` says whether it knows `server/discover`. `served` counts how often the lie was sent.
    """

    def __init__(self, *, modern: bool) -> None:
        super().__init__(self._answer, everything=True)
        self.lie: bytes | None = None
        self.about = ""
        self.closes = True
        self.served = 0
        self._modern = modern
        self._sessions = count(1)

    def note_request(self, exchange: Exchange) -> None:
        """Nothing is kept: runs are long."""

    def note_execution(self, exchange: Exchange) -> None:
        """Nothing is kept."""

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            request, *lines = head.decode("latin-1").split("\r\n")[:-2]
            verb, path, _ = request.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            data = await reader.readexactly(int(headers.get("content-length", 0)))
        except asyncio.IncompleteReadError:
            return None
        try:
            body = json.loads(data) if data else None
        except (ValueError, RecursionError):
            body = {"id": 0, "method": "tools/call"}
        return Exchange(self, verb, path, headers, data, body, reader, writer)

    async def _answer(self, exchange: Exchange) -> None:
        method = exchange.body.get("method") if isinstance(exchange.body, dict) else exchange.method
        lie = self.lie
        if lie is not None and method == self.about:
            self.served += 1
            found = _ID.search(exchange.raw)
            for piece in lie.replace(b"@ID@", found[1] if found else b"null").split(PAUSE):
                await exchange.send(piece)
                await asyncio.sleep(0)
            if self.closes:
                exchange.close()
        else:
            await self._answer_well(exchange, method)

    async def _answer_well(self, exchange: Exchange, method: object) -> None:
        if exchange.method == "GET":
            await exchange.send(STREAM % (len(PRIMING), PRIMING))
        elif exchange.method == "DELETE":
            await exchange.respond(b"")
        elif not isinstance(exchange.body, dict) or "id" not in exchange.body or "method" not in exchange.body:
            await exchange.respond(b"", status="202 Accepted")
        elif method == "subscriptions/listen":
            acknowledged = {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {}}
            event = b"data: " + json.dumps(acknowledged).encode() + b"\n\n"
            await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + event)
            while await exchange.reader.read(65536):  # until the gateway hangs up
                pass
            exchange.close()
        elif method == "server/discover" and not self._modern:
            error = {"code": -32601, "message": "unknown"}
            await exchange.respond({"jsonrpc": "2.0", "id": exchange.body["id"], "error": error})
        else:
            try:
                answer = exchange.answer()
            except (KeyError, TypeError):
                answer = {"jsonrpc": "2.0", "id": exchange.body["id"], "error": {"code": -32602, "message": "params"}}
            more = [("Mcp-Session-Id", f"s{next(self._sessions)}")] if method == "initialize" else []
            await exchange.respond(answer, headers=more)
