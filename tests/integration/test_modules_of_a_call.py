"""A module that runs in each call is compiled, or `scripts/compiled_modules.py` says why it is not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp
import pytest

import mcppool
from mcppool.discovery.static import FixedSource
from mcppool.gateway.gateway import Gateway
from mcppool.pipeline.workload import WorkloadSample
from mcppool.spec import loads_toml
from scripts.compiled_modules import COMPILED, INTERPRETED
from tests.servers import modern_call, pool_toml
from tests.servers.faults import Behaviour, Exchange, FaultServer
from tests.servers.framing import event_stream
from tests.servers.handshakes import Handshakes

PACKAGE = Path(mcppool.__file__).parent
CALLS = 20
PROCESS = '[listener]\nlisten = "127.0.0.1:0"\n[metrics]\nenabled = false\n'
HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}
    },
}  # fmt: skip
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "read", "arguments": {}}}
ACCEPT = {"accept": "application/json, text/event-stream"}


def compact(message: object) -> bytes:
    """JSON as the SDKs write it."""
    return json.dumps(message, separators=(",", ":")).encode()


async def whole(exchange: Exchange) -> None:
    """Answers with JSON."""
    await exchange.respond(compact(exchange.answer()))


async def one_event(exchange: Exchange) -> None:
    """Answers with an event stream of one event, in one piece."""
    await exchange.respond(
        b"event: message\ndata: %b\n\n" % compact(exchange.answer()), content_type="text/event-stream"
    )


@contextmanager
def recorded(files: set[str]) -> Iterator[None]:
    """Add the source of each Python function that is called to `files`."""

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            files.add(frame.f_code.co_filename)

    former = sys.getprofile()
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(former)


async def modules_of_each_call(url: str, headers: dict[str, str], call: dict[str, Any]) -> set[str]:
    """The modules of mcppool that ran in every one of a number of calls."""
    common: set[str] | None = None
    async with aiohttp.ClientSession(headers=headers) as http:
        for n in range(CALLS):
            body, files = compact({**call, "id": 1000 + n}), set[str]()
            with recorded(files):
                async with http.post(url, data=body) as response:
                    assert response.status == 200
                    assert b'"result"' in await response.read()
            common = files if common is None else common & files
    assert common is not None
    paths = {Path(file) for file in common if not file.startswith("<")}
    return {path.relative_to(PACKAGE).as_posix() for path in paths if path.is_relative_to(PACKAGE)}


async def session_headers(url: str) -> dict[str, str]:
    async with aiohttp.ClientSession(headers=ACCEPT) as http, http.post(url, json=HELLO) as response:
        return {**ACCEPT, "content-type": "application/json", "mcp-session-id": response.headers["mcp-session-id"]}


@pytest.mark.parametrize(
    "behaviour",
    [whole, one_event, event_stream(split=10_000), Handshakes(whole)],
    ids=["json", "one event", "progress", "session"],
)
async def test_what_runs_in_each_call_is_on_the_list_of_modules(
    behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WorkloadSample, "refill", lambda self, now: None)  # on a slow machine each call is a sample
    in_session = isinstance(behaviour, Handshakes)
    async with FaultServer(behaviour, everything=in_session) as server:
        gateway = Gateway(FixedSource(loads_toml(f'profile = "production"\n{PROCESS}{pool_toml(server.url)}')))
        await gateway.start()
        gateway.pools["demo"].workload.left = 0
        try:
            url = f"http://127.0.0.1:{gateway.address[1]}/mcp"
            headers, modern = modern_call("read")
            if in_session:
                found = await modules_of_each_call(url, await session_headers(url), CALL)
            else:
                found = await modules_of_each_call(url, headers, json.loads(modern))
        finally:
            await gateway.stop()
    assert "wire/rpc_request.py" in found, "this records what runs: that module is Python in both builds"
    assert found - {*COMPILED, *INTERPRETED} == set()
