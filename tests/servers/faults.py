"""A fake MCP server, for faults that a real one cannot show on demand.

`FaultServer` reads HTTP/1.1 requests from its sockets by hand and lets a *behaviour* handle each. Every request is kept
in `requests`; a behaviour decides when one counts as executed. The behaviours below are the faults of the test plan; a
test writes its own as a coroutine function of an `Exchange`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from tests.servers.process import HOST, free_port

Behaviour = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Exchange:
    """One request on one connection. `body` is its decoded JSON (None if there was none)."""

    server: FaultServer
    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    body: Any
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    #: Whether the connection is to be read again after the behaviour returns.
    keep_alive: bool = True
    executed: bool = field(default=False, init=False)

    @property
    def tool(self) -> str | None:
        """The called tool, if the request calls one."""
        if isinstance(self.body, dict) and self.body.get("method") == "tools/call":
            name: str = self.body["params"]["name"]
            return name
        return None

    def execute(self) -> None:
        """Count the request as executed."""
        self.executed = True
        self.server.note_execution(self)

    def answer(self) -> dict[str, Any]:
        """The answer that a healthy server would give."""
        rpc = self.body if isinstance(self.body, dict) else {}
        return {"jsonrpc": "2.0", "id": rpc.get("id"), "result": self.server.result(rpc)}

    async def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def respond(
        self,
        payload: Any,
        *,
        status: str = "200 OK",
        headers: Sequence[tuple[str, str]] = (),
        content_type: str = "application/json",
        version: str = "HTTP/1.1",
    ) -> None:
        """A whole answer with Content-Length. `payload`: bytes, or something to be written as JSON."""
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        lines = [f"{version} {status}", f"Content-Type: {content_type}", f"Content-Length: {len(data)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + data)

    def reset(self) -> None:
        """End the connection with RST, as a killed process with unread input does."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        self.keep_alive = False

    def close(self) -> None:
        """End the connection with FIN."""
        self.writer.close()
        self.keep_alive = False


# ---- behaviours ----


async def healthy(exchange: Exchange) -> None:
    """Executes and answers with JSON."""
    exchange.execute()
    if isinstance(exchange.body, dict) and "id" not in exchange.body:
        await exchange.respond(b"", status="202 Accepted")
    else:
        await exchange.respond(exchange.answer())


async def silent(exchange: Exchange) -> None:
    """Takes the request and never answers; ends when the other side closes."""
    while await exchange.reader.read(65536):
        pass
    exchange.close()


async def reset_before(exchange: Exchange) -> None:
    """Resets the connection without having executed anything (which the client cannot know)."""
    exchange.reset()


async def reset_after(exchange: Exchange) -> None:
    """Executes, then resets the connection without an answer."""
    exchange.execute()
    exchange.reset()


async def close_without_answer(exchange: Exchange) -> None:
    """Closes the connection in order, without an answer, as a server does with an idle one that just expired."""
    exchange.close()


async def cut_short(exchange: Exchange) -> None:
    """Executes, announces a whole answer and closes in the middle of it."""
    exchange.execute()
    data = json.dumps(exchange.answer()).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    await exchange.send(head.encode() + data[: len(data) // 2])
    exchange.close()


async def garbage(exchange: Exchange) -> None:
    """Executes and answers with something that is not HTTP."""
    exchange.execute()
    await exchange.send(b"\x00\x01\x02 not http at all\r\n\r\n")
    exchange.close()


async def not_json(exchange: Exchange) -> None:
    """Executes and answers 200 with a body that says it is JSON and is not."""
    exchange.execute()
    await exchange.respond(b"<html>It works!</html>")


async def wrong_id(exchange: Exchange) -> None:
    """Executes and answers for another request."""
    exchange.execute()
    await exchange.respond({**exchange.answer(), "id": "of-another-request"})


def status(line: str, *, retry_after: str | None = None, executes: bool = False) -> Behaviour:
    """Answers with an HTTP status such as "503 Service Unavailable" and no JSON-RPC body."""

    async def behave(exchange: Exchange) -> None:
        if executes:
            exchange.execute()
        headers = [("Retry-After", retry_after)] if retry_after is not None else []
        await exchange.respond(b"no\n", status=line, headers=headers, content_type="text/plain")

    return behave


def delayed(seconds: float, then: Behaviour = healthy) -> Behaviour:
    """Waits, then acts like `then`."""

    async def behave(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await then(exchange)

    return behave


def gated(gate: asyncio.Event, then: Behaviour = healthy) -> Behaviour:
    """Acts like `then` when the test opens the gate."""

    async def behave(exchange: Exchange) -> None:
        await gate.wait()
        await then(exchange)

    return behave


# ---- the server ----


class FaultServer:
    """`async with FaultServer(...) as server`: listens on `server.url` in the running loop.

    Calls of tools meet the behaviours of `script`, one after another, and then `behaviour`. Everything else (discover,
    lists, initialize, ping) is answered in good health, so that the pool takes the server for one of its replicas; with
    `everything` it meets the behaviours too.
    """

    def __init__(
        self,
        behaviour: Behaviour = healthy,
        *,
        script: Sequence[Behaviour] = (),
        everything: bool = False,
        name: str = "fake",
        port: int | None = None,
        tls: ssl.SSLContext | None = None,
        tools: Sequence[dict[str, Any]] = (
            {"name": "read", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}},
            {"name": "write", "inputSchema": {"type": "object"}},
        ),
    ) -> None:
        self.name = name
        self.behaviour = behaviour
        self.script = list(script)
        self.everything = everything
        self.tools = list(tools)
        self.port = free_port() if port is None else port
        self.url = f"{'https' if tls is not None else 'http'}://{HOST}:{self.port}/mcp"
        self._tls = tls
        self.requests: list[Exchange] = []
        self.executions: list[Any] = []
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> int:
        """How many connections there are."""
        return len(self._tasks)

    def calls(self, tool: str | None = None) -> list[Exchange]:
        """The `tools/call` requests that arrived."""
        return [seen for seen in self.requests if seen.tool is not None and tool in (None, seen.tool)]

    def note_request(self, exchange: Exchange) -> None:
        """A request has arrived."""
        self.requests.append(exchange)

    def note_execution(self, exchange: Exchange) -> None:
        """A behaviour counts the request as executed."""
        self.executions.append(exchange.body)

    def executed(self, tool: str) -> int:
        """How often the tool was executed."""
        return sum(
            1 for body in self.executions if body.get("method") == "tools/call" and body["params"]["name"] == tool
        )

    def result(self, rpc: dict[str, Any]) -> dict[str, Any]:
        """The result that a healthy server would give to a request."""
        info = {"name": self.name, "version": "1"}
        capabilities = {"tools": {"listChanged": False}}
        common = {"resultType": "complete", "_meta": {"io.modelcontextprotocol/serverInfo": info}}
        cached = {"ttlMs": 0, "cacheScope": "private"}
        match rpc.get("method"):
            case "server/discover":
                return {"supportedVersions": ["2026-07-28"], "capabilities": capabilities, **cached, **common}
            case "initialize":
                version = rpc["params"]["protocolVersion"]
                return {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info}
            case "tools/list":
                return {"tools": self.tools, **cached, **common}
            case "tools/call":
                return {"content": [{"type": "text", "text": self.name}], "isError": False, **common}
            case _:
                return common

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()

    async def listen(self) -> None:
        """Accept connections (again)."""
        self._server = await asyncio.start_server(self._serve, HOST, self.port, ssl=self._tls)

    async def refuse(self) -> None:
        """Close the port and all connections: further connections are refused, until `listen`."""
        if self._server is not None:
            for sock in self._server.sockets:
                asyncio.get_running_loop().remove_reader(sock.fileno())
            # `close` would lose a connection that was just accepted: it must reach `_serve` and end there.
            for _ in range(5):
                await asyncio.sleep(0)
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tls is not None:
            self._abort_all()
            await asyncio.sleep(0)  # in which the sockets close

    def _abort_all(self) -> None:
        """End what is encrypted: the end of TLS would wait for the other side's part, and outlive the test's loop. So
        would a connection whose handshake is not over, which has never reached `_serve`."""
        transports = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]  # nothing else knows them all
        for transport in list(transports.values()):
            if transport.get_extra_info("sockname") == (HOST, self.port):
                transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            keep = True
            while keep:
                exchange = await self._read(reader, writer)
                if exchange is None:
                    return
                self.note_request(exchange)
                await self._choose(exchange)(exchange)
                keep = exchange.keep_alive
        except (ConnectionError, asyncio.CancelledError):
            pass  # the other side went away, or the test is over
        finally:
            self._tasks.discard(task)
            writer.close()

    def _choose(self, exchange: Exchange) -> Behaviour:
        if exchange.tool is None and not self.everything:
            return healthy
        return self.script.pop(0) if self.script else self.behaviour

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange | None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            request, *lines = head.decode("latin-1").split("\r\n")[:-2]
            method, path, _ = request.split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            data = await reader.readexactly(int(headers.get("content-length", 0)))
        except asyncio.IncompleteReadError:
            return None
        return Exchange(self, method, path, headers, data, json.loads(data) if data else None, reader, writer)
