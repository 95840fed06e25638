"""Clients of both eras that call without a pause, and record the outcome of each call.

They are bare HTTP/1.1, so that sixteen of them cost little; `sdk.py` has the SDK's own client.
"""

from __future__ import annotations

import asyncio
import json
import random
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

MODERN, LEGACY = "modern", "legacy"
MODERN_VERSION, LEGACY_VERSION = "2026-07-28", "2025-11-25"
INFO = {"name": "bench-faults", "version": "1"}
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN_VERSION,
    "io.modelcontextprotocol/clientInfo": INFO,
    "io.modelcontextprotocol/clientCapabilities": {},
}
PATIENCE = 20.0  # seconds that a client waits for an answer


@dataclass(slots=True)
class Record:
    """One call. `began` is wall-clock time, `took` seconds. `key` is in the call's arguments and in its result.

    `failure` is None after a right answer; `wrong` tells that the answer belonged to another call. `delivered` is the
    delivery in the error; `streamed` tells that a part of the answer had come before it failed.
    """

    id: str
    era: str
    tool: str
    key: str
    began: float
    took: float = 0.0
    failure: str | None = None
    delivered: str | None = None
    wrong: bool = False
    streamed: bool = False
    new_session: bool = False

    @property
    def write(self) -> bool:
        return self.tool == "write"


class Client:
    """One client with one call at a time. It uses the first of `urls` that accepts its connection.

    `pause` is the mean time between two calls, `writes` the share of calls that must not be repeated.
    """

    def __init__(
        self, number: int, era: str, urls: Sequence[str], *, pause: float, writes: float, records: list[Record]
    ) -> None:
        self.era = era
        self.calls = 0
        self._number, self._pause, self._writes, self._records = number, pause, writes, records
        self._places = [(str(parts.hostname), int(parts.port or 80), parts.path) for parts in map(urlsplit, urls)]
        self._random = random.Random(number)
        self._session = ""
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._path = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Call until `stop`; then still wait for the call in flight."""
        try:
            while not stop.is_set():
                await self._call()
                await asyncio.sleep(self._pause * (0.5 + self._random.random()))
        finally:
            self._hang_up()

    async def _call(self) -> None:
        self.calls += 1
        number = self._number * 1_000_000 + self.calls
        tool = "write" if self._random.random() < self._writes else "echo"
        key = f"k{number}k"
        record = Record(str(number), self.era, tool, key, time.time())
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                if self.era == LEGACY and not self._session:
                    await self._open_session()
                arguments = {"key": key} if tool == "write" else {"value": key}
                message = {"id": number, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
                _judge(record, *await self._ask(message))
        except TimeoutError:
            record.failure = f"no answer within {PATIENCE:g} s"
            self._hang_up()
        except asyncio.IncompleteReadError as error:
            record.failure, record.streamed = "the answer was cut", bool(error.partial)
            self._hang_up()
        except (OSError, _Broken) as error:
            record.failure = f"connection: {error or type(error).__name__}"
            self._hang_up()
        record.took = time.monotonic() - began
        self._records.append(record)
        if record.new_session:
            self._session = ""

    async def _open_session(self) -> None:
        params = {"protocolVersion": LEGACY_VERSION, "capabilities": {}, "clientInfo": INFO}
        status, headers, _ = await self._ask({"id": 0, "method": "initialize", "params": params})
        if status != 200:
            raise _Broken(f"initialize: HTTP {status}")
        self._session = headers.get("mcp-session-id", "")
        await self._ask({"method": "notifications/initialized"})

    async def _ask(self, message: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        message = {"jsonrpc": "2.0", **message}
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if self.era == MODERN:
            message["params"] = {**message.get("params", {}), "_meta": META}
            headers |= {"MCP-Protocol-Version": MODERN_VERSION, "Mcp-Method": message["method"]}
            if "name" in message["params"]:
                headers["Mcp-Name"] = message["params"]["name"]
        elif self._session:
            headers |= {"MCP-Protocol-Version": LEGACY_VERSION, "Mcp-Session-Id": self._session}
        body = json.dumps(message).encode()
        reader, writer = await self._connected()
        lines = [f"POST {self._path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return await self._answer(reader)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection, if it is still open, else a new one, as any HTTP client does before it sends."""
        reader, writer = self._reader, self._writer
        if reader is not None and writer is not None and not (reader.at_eof() or _is_readable(writer)):
            return reader, writer
        self._hang_up()
        for number, (host, port, path) in enumerate(self._places):
            try:
                self._reader, self._writer = await asyncio.open_connection(host, port)
            except OSError:
                if number + 1 == len(self._places):
                    raise
                continue
            self._path = path
            break
        assert self._reader is not None
        assert self._writer is not None
        return self._reader, self._writer

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise _Broken("closed without an answer" if not error.partial else "closed in the head") from error
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        if not first.startswith("HTTP/1."):
            raise _Broken("not HTTP")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await _reading(reader.readuntil(b"\r\n"), body), 16):
                body += (await _reading(reader.readexactly(size + 2), body))[:-2]
            await _reading(reader.readexactly(2), body)
        else:
            body = await _reading(reader.readexactly(int(headers.get("content-length", 0))), b"")
        if headers.get("connection", "").lower() == "close":
            self._hang_up()
        return int(first.split(" ")[1]), headers, body

    def _hang_up(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def _is_readable(writer: asyncio.StreamWriter) -> bool:
    """Whether the server has closed an idle connection, or broken it, also if the event loop has not noticed yet."""
    idle = select.poll()
    idle.register(writer.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(idle.poll(0))


class _Broken(Exception):
    """The connection ended before an expected answer."""


async def _reading(step: Any, so_far: bytes) -> bytes:
    """A part of a body; if it is cut, the error has the received bytes."""
    try:
        part: bytes = await step
    except asyncio.IncompleteReadError as error:
        raise asyncio.IncompleteReadError(so_far + error.partial or b"head", None) from error
    return part


def _judge(record: Record, status: int, headers: dict[str, str], body: bytes) -> None:
    """Whether this is the answer to the call, and if not, its fault."""
    events: list[bytes] = []
    if headers.get("content-type", "").startswith("text/event-stream"):
        lines = body.replace(b"\r\n", b"\n").split(b"\n")
        events = [line[5:].strip() for line in lines if line.startswith(b"data:") and len(line) > 6]
        body = events[-1] if events else b""
    try:
        message = json.loads(body)
    except ValueError:
        record.failure = f"HTTP {status} without JSON"
        return
    record.new_session = record.era == LEGACY and status == 404
    if "error" in message:
        data = message["error"].get("data")
        data = data if isinstance(data, dict) else {}
        record.failure = str(data.get("reason") or f"HTTP {status}: {message['error'].get('message')}")
        record.delivered = data.get("delivered")
        record.streamed = len(events) > 1
    elif status != 200 or "result" not in message:
        record.failure = f"HTTP {status}"
    if record.failure is None or message.get("id") is not None:
        record.wrong = str(message.get("id")) != record.id
    if record.failure is None and not record.wrong:
        record.wrong = record.key.encode() not in body
    if record.wrong:
        record.failure = "the answer to another call"
