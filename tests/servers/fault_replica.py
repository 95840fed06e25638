"""A replica that shows faults on demand while others serve: `FaultServer` in a process of its own, in both eras.

Run as a program: `fault_replica.py --port N --name A --log FILE`. Every call of a tool is one JSON line in the log when
it arrives (`"event": "received"`) and one when it is executed (`"executed"`). `POST /fault` with the name of one of
`FAULTS` as its body changes the fault of further tool calls; `POST /forget` makes it forget all sessions.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.servers.faults import (
    Behaviour,
    Exchange,
    FaultServer,
    cut_short,
    delayed,
    garbage,
    healthy,
    reset_after,
    reset_before,
    status,
    wrong_id,
)
from tests.servers.framing import event_stream

SLOW = 1.0
"""Seconds: a thousand times the millisecond that a call of these tools takes."""

FAULTS: dict[str, Behaviour] = {
    "none": healthy,
    "slow": delayed(SLOW),
    "reset before": reset_before,
    "reset after": reset_after,
    "cut short": cut_short,
    "stream cut": event_stream(split=4096, ends=False),
    "500": status("500 Internal Server Error", executes=True),
    "503": status("503 Service Unavailable"),
    "503 retry-after": status("503 Service Unavailable", retry_after="1"),
    "429": status("429 Too Many Requests", retry_after="1"),
    "garbage": garbage,
    "wrong id": wrong_id,
}

TOOLS: tuple[dict[str, Any], ...] = (
    {"name": "echo", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}},
    {"name": "write", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": False}},
)


class FaultReplica(FaultServer):
    """Keeps sessions with clients of the handshake era; remembers no request but in its log."""

    def __init__(self, name: str, port: int, log: Path) -> None:
        super().__init__(name=name, port=port, tools=TOOLS)
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._numbers = itertools.count()
        self._sessions: set[str] = set()

    def note_request(self, exchange: Exchange) -> None:
        """One line, where it calls a tool."""
        self._write("received", exchange)

    def note_execution(self, exchange: Exchange) -> None:
        """One line, where it calls a tool."""
        self._write("executed", exchange)

    def result(self, rpc: dict[str, Any]) -> dict[str, Any]:
        """A tool returns its arguments."""
        result = super().result(rpc)
        if rpc.get("method") == "tools/call":
            result["content"] = [{"type": "text", "text": json.dumps(rpc["params"].get("arguments"))}]
        return result

    def _write(self, event: str, exchange: Exchange) -> None:
        if exchange.tool is not None:
            arguments = exchange.body["params"].get("arguments", {})
            line = {"event": event, "tool": exchange.tool, "name": self.name, "at": time.time(), **arguments}
            os.write(self._log, (json.dumps(line) + "\n").encode())

    def _choose(self, exchange: Exchange) -> Behaviour:
        if exchange.path in ("/fault", "/forget"):
            return self._control
        if exchange.method == "GET":
            return status("405 Method Not Allowed")
        if "mcp-method" not in exchange.headers and not self._in_session(exchange):
            return self._without_session
        return super()._choose(exchange)

    def _in_session(self, exchange: Exchange) -> bool:
        return exchange.method == "POST" and exchange.headers.get("mcp-session-id") in self._sessions

    async def _without_session(self, exchange: Exchange) -> None:
        if exchange.method == "DELETE":
            self._sessions.discard(exchange.headers.get("mcp-session-id", ""))
            await exchange.respond(b"")
        elif isinstance(exchange.body, dict) and exchange.body.get("method") == "initialize":
            session = f"{self.name}-{os.getpid()}-{next(self._numbers)}"
            self._sessions.add(session)
            await exchange.respond(exchange.answer(), headers=[("Mcp-Session-Id", session)])
        else:
            error = {"code": -32600, "message": "Session not found"}
            await exchange.respond({"jsonrpc": "2.0", "id": None, "error": error}, status="404 Not Found")

    async def _control(self, exchange: Exchange) -> None:
        if exchange.path == "/forget":
            self._sessions.clear()
        else:
            self.behaviour = FAULTS[exchange.body]
        await exchange.respond(b"")


async def serve(replica: FaultReplica) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with replica:
        await stop.wait()


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()
    asyncio.run(serve(FaultReplica(options.name, options.port, options.log)))


if __name__ == "__main__":
    main()
