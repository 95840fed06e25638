"""MCP servers without sockets, which answer piece by piece, late, twice, or not at all, by a seed.

They are for interleavings by the thousand. `World` holds the sent pieces that have not arrived; a test decides whose
next piece arrives. Every server knows the secret of each session, and complains in `violations` when a call comes on
another client's.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from dataclasses import dataclass
from typing import Any

from mcppool.pipeline.pool.pool import ServerPool
from mcppool.upstream.failures import ConnectFailed
from mcppool.upstream.http.connection import Connection, ConnectionOwner
from mcppool.upstream.http.target import Target
from tests.unit.upstream.transports import FakeTransport

Piece = bytes | Exception | None
FORMS = ("sized", "chunked", "events")
FAULTS = ("reset", "close", "garbage", "extra", "500", "503", "429", "other id", "silent")


class World:
    """All servers and their pieces in transit."""

    def __init__(self, rng: random.Random, pool: ServerPool, fault_share: float) -> None:
        self.rng = rng
        self.fault_share = fault_share
        self.violations: list[str] = []
        self.under_way: list[VirtualTransport] = []
        self.servers = [VirtualServer(self, endpoint.key) for endpoint in pool.endpoints.values()]
        for server, endpoint in zip(self.servers, pool.endpoints.values(), strict=True):
            endpoint.target = endpoint.connections.dialler.target = VirtualTarget("virtual", 80, server=server)

    def arrive(self) -> None:
        """One piece of something arrives."""
        if not self.under_way:
            return
        index = self.rng.randrange(len(self.under_way))
        transport = self.under_way[index]
        if not transport.arrive():
            self.under_way[index] = self.under_way[-1]
            self.under_way.pop()


@dataclass(frozen=True)
class VirtualTarget(Target):
    """Connects to a virtual server."""

    server: VirtualServer | None = None

    async def connect(self, loop: asyncio.AbstractEventLoop, owner: ConnectionOwner, timeout: float) -> Connection:
        assert self.server is not None
        await asyncio.sleep(0)
        if self.server.down:
            raise ConnectFailed("refused")
        connection = Connection(loop, owner)
        transport = VirtualTransport(loop, connection)
        transport.server = self.server
        self.server.transports = {t for t in self.server.transports if not t.is_closing()} | {transport}
        return connection


class VirtualTransport(FakeTransport):
    """A connection, and the pieces that its server has sent on it."""

    server: VirtualServer

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Connection) -> None:
        super().__init__(loop, protocol)
        self.pieces: deque[tuple[int | None, Piece]] = deque()
        self.requests = 0

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.requests += 1
        self.server.serve(self, bytes(data))

    def send(self, *pieces: Piece, surplus: bool = False) -> None:
        """On its way. `surplus`: it was not asked for, and does not come after the next request: no client of HTTP/1.1
        could tell it from the answer to that."""
        if not self.pieces:
            self.server.world.under_way.append(self)
        self.pieces.extend((self.requests if surplus else None, piece) for piece in pieces)

    def arrive(self) -> bool:
        """The next piece arrives; whether there is another."""
        if self.is_closing() or not self.pieces:
            self.pieces.clear()
            self.server.transports.discard(self)
            return False
        asked, piece = self.pieces.popleft()
        if isinstance(piece, bytes):
            if asked in (None, self.requests):
                self.connection.data_received(piece)
        else:
            self.lose(piece)
        return bool(self.pieces)


class VirtualServer:
    """One replica. `down`: it refuses connections."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.down = False
        self.transports: set[VirtualTransport] = set()
        self.sessions: dict[str, str] = {}  # id → the secret of the client that opened it
        self.streams: dict[VirtualTransport, str] = {}  # a session's stream → its client's secret
        self.listening: list[VirtualTransport] = []
        self.refused: set[str] = set()  # resources that it refuses to watch
        self.busy: list[int] = []  # the refusal for the next listeners
        self.last = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"  # the last secret of another client
        self._next = 0

    def restart(self) -> None:
        """It has forgotten all, and its connections are broken."""
        self.sessions.clear()
        self.streams.clear()
        self.listening.clear()
        for transport in self.transports:
            transport.lose(ConnectionResetError("restarted"))
        self.transports.clear()

    def notify(self) -> None:
        """Send something unexpected on every stream."""
        self.streams = {transport: secret for transport, secret in self.streams.items() if not transport.is_closing()}
        for transport, secret in self.streams.items():
            message = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": secret}}
            transport.send(_chunk(_event(message)))

    def update(self, uri: str) -> None:
        """A resource has changed."""
        params = {"uri": uri, "_meta": {"io.modelcontextprotocol/subscriptionId": "mcppool-listen"}}
        message = {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params}
        self.listening = [transport for transport in self.listening if not transport.is_closing()]
        for transport in self.listening:
            transport.send(_chunk(_event(message)))

    def serve(self, transport: VirtualTransport, data: bytes) -> None:
        """Decide the outcome of a request."""
        head, _, body = data.partition(b"\r\n\r\n")
        request, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        rpc = json.loads(body) if body else {}
        secret = headers.get("x-secret")
        session = headers.get("mcp-session-id")
        if session is not None:
            owner = self.sessions.get(session)
            if owner is None:
                self._whole(transport, 404, {"error": {"code": -32600, "message": "Session not found"}, "id": None})
                return
            if secret is not None and owner != secret:
                self.world.violations.append(f"a call of {secret} came on the session of {owner}")
            secret = owner
        verb = request.split(" ")[0]
        if verb == "GET":
            assert secret is not None
            self.streams[transport] = secret
            transport.send(_STREAM, _chunk(b": open\n\n"))
        elif verb == "DELETE":
            self.sessions.pop(session or "", None)
            self._whole(transport, 200, None)
        elif "id" not in rpc:
            self._whole(transport, 202, None)
        elif rpc["method"] == "subscriptions/listen":
            wanted = rpc["params"]["notifications"].get("resourceSubscriptions", [])
            status = self.busy.pop(0) if self.busy else 404 if self.refused.intersection(wanted) else 200
            if status != 200:
                message = "no: " + ", ".join(sorted(self.refused.intersection(wanted)))
                self._whole(transport, status, {"error": {"code": -32601, "message": message}, "id": rpc["id"]})
                return
            self.listening.append(transport)
            message = {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {}}
            transport.send(_STREAM, _chunk(_event(message)))
        else:
            self._answer(transport, rpc, secret)

    def _answer(self, transport: VirtualTransport, rpc: dict[str, Any], secret: str | None) -> None:
        rng = self.world.rng
        extra = ""
        result: dict[str, Any] = {"echo": rpc.get("params", {}).get("secret"), "owner": secret}
        if rpc["method"] == "initialize":
            secret = rpc["params"]["clientInfo"]["name"]
            self._next += 1
            id = f"sid!{self.name[7]}-{self._next}"  # no sealed id for a client can contain a "!" by chance
            self.sessions[id] = secret
            extra = f"mcp-session-id: {id}\r\n"
            result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "v", "version": "1"}}
        answer = {"jsonrpc": "2.0", "id": rpc["id"], "result": result}
        fault = rng.choice(FAULTS) if rng.random() < self.world.fault_share else None
        if fault == "other id":
            answer["id"] = "of somebody else"
        if fault in ("500", "503", "429"):
            self._whole(transport, int(fault), answer)
            return
        pieces = self._pieces(rng, answer, rpc, extra)
        whole = b"".join(pieces)
        match fault:
            case "reset" | "close":
                kept = pieces[: rng.randrange(len(pieces))]
                transport.send(*kept, ConnectionResetError("reset") if fault == "reset" else None)
            case "garbage":
                transport.send(b"\x00" + self.last)
            case "extra":
                if rng.random() < 0.5:
                    pieces[-1] += self.last
                transport.send(*pieces)
                transport.send(self.last, surplus=True)
            case "silent":
                pass
            case _:
                transport.send(*pieces)
        self.last = whole

    def _pieces(self, rng: random.Random, answer: dict[str, Any], rpc: dict[str, Any], extra: str) -> list[bytes]:
        body = json.dumps(answer).encode()
        form = rng.choice(FORMS)
        if form == "sized":
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{extra}content-length: {len(body)}\r\n\r\n"
            parts = [head.encode() + body]
        elif form == "chunked":
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{extra}transfer-encoding: chunked\r\n\r\n"
            parts = [head.encode(), _chunk(body[:9]), _chunk(body[9:]) + b"0\r\n\r\n"]
        else:
            parts = [_STREAM.replace(b"cache-control", extra.encode() + b"cache-control")]
            token = rpc.get("params", {}).get("_meta", {}).get("progressToken")
            if token is not None:
                params = {"progressToken": token, "progress": 1, "message": answer["result"].get("echo")}
                parts.append(_chunk(_event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})))
            parts += [_chunk(_event(answer)), b"0\r\n\r\n"]
        if rng.random() < 0.3:
            data = b"".join(parts)
            mark = rng.randrange(1, len(data))
            parts = [data[:mark], data[mark:]]
        return parts

    def _whole(self, transport: VirtualTransport, status: int, message: object) -> None:
        body = b"" if message is None else json.dumps(message).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        transport.send(head.encode() + body)


_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _event(message: object) -> bytes:
    return b"data: %b\n\n" % json.dumps(message).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
