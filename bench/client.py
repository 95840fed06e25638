"""A small, strict MCP client: it checks a target's answers before the target is measured, and opens legacy sessions."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

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
IDS: tuple[int | str, ...] = (0, 1, 2**53 - 1, "", "a", 'quote " and \\', "ünï – \N{SNOWMAN}")


class Client:
    """One kept-alive connection; every answer must be 200 with the right id, else `Failed`."""

    def __init__(self, name: str, url: str, era: str) -> None:
        parts = urlsplit(url)
        self.name, self.path, self.era = name, parts.path, era
        self.http = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=5)
        self.session: str | None = None

    def close(self) -> None:
        self.http.close()

    def post(self, message: dict[str, Any], headers: dict[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        accept = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if self.session:
            headers = headers | {"Mcp-Session-Id": self.session}
        self.http.request("POST", self.path, json.dumps(message), accept | headers)
        answer = self.http.getresponse()
        return answer, answer.read()

    def ask(self, id: int | str, method: str, params: dict[str, Any]) -> Any:
        headers = {"MCP-Protocol-Version": LEGACY} if method != "initialize" else {}
        if self.era == "modern":
            params = params | {"_meta": META}
            headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
            if "name" in params:
                headers["Mcp-Name"] = params["name"]
        answer, body = self.post({"jsonrpc": "2.0", "id": id, "method": method, "params": params}, headers)
        content_type = answer.headers.get_content_type()
        message = json.loads(body) if body and content_type == "application/json" else None
        if answer.status != 200 or not message or message.get("id") != id or "result" not in message:
            raise Failed(f"{self.name}: wrong answer to {method} {id!r}: {answer.status} {content_type} {body[:500]!r}")
        if session := answer.headers.get("Mcp-Session-Id"):
            self.session = session
        return message["result"]

    def call(self, id: int | str, text: str) -> None:
        result = self.ask(id, "tools/call", {"name": "echo", "arguments": {"text": text}})
        if result["content"] != [{"type": "text", "text": text}]:
            raise Failed(f"{self.name}: wrong result of {id!r}: {result}")

    def initialize(self) -> str:
        """Open a legacy session; returns its id as the target hands it out."""
        params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}
        self.ask(0, "initialize", params)
        if self.session is None:
            raise Failed(f"{self.name}: initialize gave no session id")
        answer, body = self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, {})
        if answer.status != 202:
            raise Failed(f"{self.name}: notifications/initialized: {answer.status} {body[:500]!r}")
        return self.session


def check(name: str, url: str, era: str) -> None:
    """The first request of a client of that era, then calls with ids of every kind and texts from nothing to 100 kB."""
    client = Client(name, url, era)
    try:
        if era == "modern":
            if MODERN not in client.ask(1, "server/discover", {})["supportedVersions"]:
                raise Failed(f"{name}: server/discover does not offer {MODERN}")
        else:
            client.initialize()
        if [tool["name"] for tool in client.ask("tools", "tools/list", {})["tools"]] != ["echo"]:
            raise Failed(f"{name}: tools/list does not list echo alone")
        for id in IDS:
            client.call(id, f"text of {id}")
        for size in (0, 1, 1000, 100_000):
            client.call(size, "x" * size)
    finally:
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
