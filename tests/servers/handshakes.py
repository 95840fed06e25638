"""A behaviour for `FaultServer`: a server of the handshake era only, which records the use of its sessions."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.servers.faults import Behaviour, Exchange, healthy, status

NO_STREAM = status("405 Method Not Allowed")


@dataclass
class SessionLog:
    """One session: its client, the tools that were called in it, and whether the client has said that it is
    initialized, and has ended it."""

    client: str
    calls: list[str] = field(default_factory=list)
    cancelled: list[object] = field(default_factory=list)
    at_work: int = 0
    most_at_work: int = 0
    ready: bool = False
    ended: bool = False


class Handshakes:
    """Pass it as `behaviour`, with `everything=True`.

    `call` is the behaviour for tool calls, `stream` for GETs; sessions in `forgotten` are unknown to the server.
    """

    def __init__(self, call: Behaviour = healthy, stream: Behaviour = NO_STREAM) -> None:
        self.call = call
        self.stream = stream
        self.sessions: dict[str, SessionLog] = {}
        self.forgotten: set[str] = set()

    def of(self, client: str) -> list[SessionLog]:
        """The sessions of the client that gave itself this name."""
        return [session for session in self.sessions.values() if session.client == client]

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request as such a server does."""
        rpc = exchange.body if isinstance(exchange.body, dict) else {}
        method = rpc.get("method")
        id = exchange.headers.get("mcp-session-id", "")
        session = self.sessions.get(id)
        if method == "initialize":
            new = f"session-{len(self.sessions)}"
            self.sessions[new] = SessionLog(rpc["params"]["clientInfo"]["name"])
            await exchange.respond(exchange.answer(), headers=[("Mcp-Session-Id", new)])
        elif session is None or session.ended or id in self.forgotten:
            line = "404 Not Found" if id else "400 Bad Request"
            error = {"code": -32600, "message": "Session not found"}
            await exchange.respond({"jsonrpc": "2.0", "id": None, "error": error}, status=line)
        elif exchange.method == "DELETE":
            session.ended = True
            await exchange.respond(b"")
        elif exchange.method == "GET":
            await self.stream(exchange)
        elif method == "notifications/initialized":
            session.ready = True
            await healthy(exchange)
        elif method == "notifications/cancelled":
            session.cancelled.append(rpc["params"]["requestId"])
            await exchange.respond(b"", status="202 Accepted")
        elif exchange.tool is not None:
            session.calls.append(exchange.tool)
            session.at_work += 1
            session.most_at_work = max(session.most_at_work, session.at_work)
            try:
                await self.call(exchange)
            finally:
                session.at_work -= 1
        else:
            await healthy(exchange)
