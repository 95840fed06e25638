"""A small, strict MCP client: it checks a target's answers before the target is measured, and opens legacy sessions."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from bench.answers import FORMS, PROGRESS_EVENTS, filler
from bench.processes import Failed

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
ERAS = ("modern", "legacy")
CLIENT = {"name": "bench", "version": "1"}
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}
PROGRESS = "echo_progress"
TOKEN = "token"
CLIENTS = 8
SIZES = (0, 1, 1000, 100_000, 1_100_000)
IDS: tuple[int | str, ...] = (0, 1, 2**53 - 1, "", "a", 'quote " and \\', "ünï – \N{SNOWMAN}")


class Client:
    """One kept-alive connection; every answer must be 200 with the right id, else `Failed`."""

    def __init__(self, name: str, url: str, era: str) -> None:
        parts = urlsplit(url)
        self.name, self.path, self.era = name, parts.path, era
        self.http = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=5)
        self.session: str | None = None
        self.notifications: list[dict[str, Any]] = []
        """The messages that preceded the last answer in its stream."""

    def close(self) -> None:
        self.http.close()

    def send(self, message: dict[str, Any], headers: dict[str, str]) -> None:
        accept = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if self.session:
            headers = headers | {"Mcp-Session-Id": self.session}
        self.http.request("POST", self.path, json.dumps(message), accept | headers)

    def receive(self) -> tuple[http.client.HTTPResponse, bytes]:
        answer = self.http.getresponse()
        return answer, answer.read()

    def send_request(self, id: int | str, method: str, params: dict[str, Any]) -> None:
        headers = {"MCP-Protocol-Version": LEGACY} if method != "initialize" else {}
        if self.era == "modern":
            params = params | {"_meta": META | params.get("_meta", {})}
            headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
            if "name" in params:
                headers["Mcp-Name"] = params["name"]
        self.send({"jsonrpc": "2.0", "id": id, "method": method, "params": params}, headers)

    def receive_result(self, id: int | str) -> Any:
        answer, body = self.receive()
        content_type = answer.headers.get_content_type()
        *before, message = messages(content_type, body) or [{}]
        if answer.status != 200 or message.get("id") != id or "result" not in message:
            raise Failed(f"{self.name}: wrong answer to request {id!r}: {answer.status} {content_type} {body[:500]!r}")
        self.notifications = before
        if session := answer.headers.get("Mcp-Session-Id"):
            self.session = session
        return message["result"]

    def ask(self, id: int | str, method: str, params: dict[str, Any]) -> Any:
        self.send_request(id, method, params)
        return self.receive_result(id)

    def call(self, id: int | str, text: str, tool: str = "echo", size: int = 0) -> None:
        """Call a tool; `size` bytes are to follow the text."""
        self.send_call(id, text, tool, size)
        self.receive_call(id, text, tool, size)

    def send_call(self, id: int | str, text: str, tool: str, size: int = 0) -> None:
        arguments: dict[str, Any] = {"text": text} | ({"size": size} if size else {})
        params: dict[str, Any] = {"name": tool, "arguments": arguments}
        if tool == PROGRESS:
            params["_meta"] = {"progressToken": TOKEN}
        self.send_request(id, "tools/call", params)

    def receive_call(self, id: int | str, text: str, tool: str, size: int = 0) -> None:
        content = self.receive_result(id)["content"]
        expected = [text, json.loads(filler(size))] if size else [text]
        if content != [{"type": "text", "text": each} for each in expected]:
            raise Failed(f"{self.name}: wrong result of {tool} {id!r}: {str(content)[:500]}")
        told = [each["params"]["progress"] for each in self.notifications if each["params"]["progressToken"] == TOKEN]
        if told != (list(range(1, PROGRESS_EVENTS + 1)) if tool == PROGRESS else []):
            raise Failed(f"{self.name}: wrong messages before the answer of {tool} {id!r}: {self.notifications}")

    def greet(self) -> None:
        """The first request of a client of its era."""
        if self.era == "legacy":
            self.initialize()
        elif MODERN not in self.ask(1, "server/discover", {})["supportedVersions"]:
            raise Failed(f"{self.name}: server/discover does not offer {MODERN}")

    def initialize(self) -> str:
        """Open a legacy session; returns its id as the target hands it out."""
        params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}
        self.ask(0, "initialize", params)
        if self.session is None:
            raise Failed(f"{self.name}: initialize gave no session id")
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"}, {})
        answer, body = self.receive()
        if answer.status != 202:
            raise Failed(f"{self.name}: notifications/initialized: {answer.status} {body[:500]!r}")
        return self.session


def messages(content_type: str, body: bytes) -> list[dict[str, Any]]:
    """Return the JSON-RPC messages of an answer: its body, or the events of its stream."""
    if content_type == "application/json":
        return [json.loads(body)] if body else []
    if content_type != "text/event-stream":
        return []
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    return [json.loads(line[5:]) for line in lines if line.startswith(b"data:") and line[5:].strip()]


def check(name: str, url: str, era: str) -> None:
    """The first requests of a client of that era; then calls with each form of answer, ids of every kind, and texts
    and answers from nothing to a megabyte; then calls of many clients at once with equal ids."""
    clients = [Client(name, url, era) for _ in range(CLIENTS)]
    try:
        for client in clients:
            client.greet()
        if [tool["name"] for tool in clients[0].ask("tools", "tools/list", {})["tools"]] != list(FORMS):
            raise Failed(f"{name}: tools/list does not list the tools {', '.join(FORMS)}")
        for tool in FORMS:
            for id in IDS:
                clients[0].call(id, f"text of {id}", tool)
            for size in SIZES:
                clients[0].call(size, "x" * size, tool)
                clients[0].call(size, "x", tool, size)
            for number, client in enumerate(clients):
                client.send_call(1, f"text {number}", tool)
            for number, client in enumerate(clients):
                client.receive_call(1, f"text {number}", tool)
    finally:
        for client in clients:
            client.close()


def sessions(name: str, url: str, count: int) -> list[str]:
    """Open that many legacy sessions, one per client of the load."""
    opened = []
    for _ in range(count):
        client = Client(name, url, "legacy")
        try:
            opened.append(client.initialize())
        finally:
            client.close()
    return opened
