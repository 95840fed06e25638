"""`make bench-calls`: the CPU time of a call inside the gateway, without sockets and without other processes.

The router, the pool and both sides of the connections are those of a gateway; the transports only hand bytes over. As
under load, the requests of all clients come in one turn of the event loop, and all answers in the next one. The figure
is the least of many batches, in turns, so other load on the machine hardly matters (decision 0026). `--count` lists the
functions that a call runs: their number depends on nothing but the code.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from time import process_time
from types import CodeType, FrameType
from typing import Any

import uvloop

from bench import command, machine, report
from bench.answers import FORMS
from bench.command import Result
from bench.policies import LIMITS, RATES, RULES, all_sections, audit_section, keys_section
from bench.processes import Failed
from bench.tracing import SECTION as TRACING
from mcppool.access.inbound import InboundAuth
from mcppool.gateway.allowed_hosts import AllowedHosts
from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.listener_context import ListenerContext
from mcppool.gateway.router import Router
from mcppool.observe import logs
from mcppool.observe.metrics import GatewayMetrics
from mcppool.pipeline.catalog import PoolCatalog
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec import loads_toml
from mcppool.upstream.catalog import ToolInfo
from mcppool.upstream.http.connection import Connection
from mcppool.wire.sealing import Key, KeyRing
from tests.servers import modern_call

CLIENTS = 32
TURNS = 32
"""Turns of a batch: in each one, every client makes a call."""
MOST_TURNS = 100
"""Turns of the event loop that a call may take: the first ones of a client run in a task."""
RESOURCE = "https://mcp.example/mcp"
RESULT = b'{"content":[{"type":"text","text":"text"}],"isError":false,"resultType":"complete"}'
NOWHERE = "http://127.0.0.1:1"
"""Nobody listens at the collector: what it would take does not matter here."""
POOL = """
profile = "production"
[[pools]]
name = "echo"
endpoints = ["http://a/mcp", "http://b/mcp", "http://c/mcp"]
"""


def scenes(folder: Path) -> dict[str, tuple[str, str]]:
    """Name of a scene → sections of its pool, and the key of its clients."""
    everything, its_key = all_sections(folder, "all")
    keys, key = keys_section(folder / "keys.toml")
    traced = TRACING.replace("{url}", NOWHERE).replace("{metrics}", "true")
    return {
        "plain": ("", ""),
        "API key": (keys, key),
        "rules": (RULES, ""),
        "audit": (audit_section(folder / "audit.jsonl"), ""),
        "rates": (RATES, ""),
        "limits": (LIMITS, ""),
        "every policy": (everything, its_key),
        "tracing 0 %": (traced.replace("{ratio}", "0.0"), ""),
        "tracing 1 %": (traced.replace("{ratio}", "0.01"), ""),
    }


class Side(asyncio.Transport):
    """A transport that keeps what was written last. `other` is the far end of a pair of sockets that nobody uses."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000)})
        self.socket, self.other = socket.socketpair()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written = bytes(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.socket if name == "socket" else super().get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Never full."""

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        self.socket.close()
        self.other.close()

    abort = close


class Gateway:
    """A router with one pool, `CLIENTS` connections of clients, and as many to each server."""

    def __init__(self, sections: str, key: str) -> None:
        snapshot = loads_toml(POOL + sections)
        (spec,) = snapshot.pools
        metrics, memory = GatewayMetrics(), MemoryBudget()
        self.pool = ServerPool(spec, metrics.pool("echo"), KeyRing([Key("bench", bytes(32))]), memory=memory)
        self.pool.settings.learn(PoolCatalog(tools={"echo": ToolInfo("echo", True, None)}))
        self.pool.metrics.known_tools = frozenset({"echo"})
        self.pool.workload.left = 0
        auth = {}
        if spec.auth.inbound.type != "none":
            failures: Counter[str] = Counter()
            auth["echo"] = InboundAuth(spec.auth.inbound, "echo", {b"/mcp": RESOURCE}, failures, lambda: None)
        router = Router(metrics, AllowedHosts("127.0.0.1", (), ()), memory)
        router.serve_pools({"echo": self.pool}, auth)
        self._auth = auth
        shared = ListenerContext(metrics, 1 << 20, memory)
        connections: set[HttpConnection] = set()
        self._clients = [(HttpConnection(shared, router.handle, connections), Side()) for _ in range(CLIENTS)]
        for client, side in self._clients:
            client.connection_made(side)
        self._servers: list[tuple[Connection, Side]] = []
        loop = asyncio.get_running_loop()
        for endpoint in self.pool.endpoints.values():
            for _ in range(CLIENTS):
                connection, side = Connection(loop, endpoint.connections), Side()
                connection.connection_made(side)
                endpoint.connections._idle.append(connection)
                self._servers.append((connection, side))
        headers, body = modern_call("echo", {"text": "text"}, request_id=1000000)
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        if key:
            lines.append(f"Authorization: Bearer {key}\r\n")
        head = f"POST /mcp HTTP/1.1\r\nHost: localhost:80\r\nContent-Length: {len(body)}\r\n{''.join(lines)}\r\n"
        self._before, self._after = (head.encode() + body).split(b"1000000")
        self._at = len(self._before) - head.index("\r\n\r\n") - 4  # of the id in the body
        self._begin, self._end = b"".join(FORMS["echo"](b"1000000", RESULT, b"")).split(b"1000000")
        self._ids = count(1_000_000)

    async def batch(self) -> float:
        """Make `CLIENTS * TURNS` calls. Returns the seconds of CPU time of one; raises Failed if one has no answer."""
        requests = [b"%b%d%b" % (self._before, next(self._ids), self._after) for _ in range(CLIENTS * TURNS)]
        for connection, _side in self._servers:
            connection.stale_at = math.inf  # however long ago the batch before was
        began = process_time()
        for turn in range(TURNS):
            await self._turn(requests[turn * CLIENTS : (turn + 1) * CLIENTS])
        return (process_time() - began) / len(requests)

    async def _turn(self, requests: Sequence[bytes]) -> None:
        """Each client makes a call."""
        for (client, side), request in zip(self._clients, requests, strict=True):
            side.written = b""
            client.data_received(request)
        for _ in range(MOST_TURNS):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for connection, side in self._servers:
                data = side.written
                if data:
                    side.written = b""
                    where = data.index(b"\r\n\r\n") + 4 + self._at
                    connection.data_received(self._begin + data[where : where + 7] + self._end)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if all(side.written for _, side in self._clients):
                break
        for _, side in self._clients:
            if not side.written.startswith(b"HTTP/1.1 200 "):
                raise Failed(f"a call was answered with {side.written!r}")

    async def stop(self) -> None:
        """Close everything."""
        for auth in self._auth.values():
            await auth.close()
        await self.pool.stop()
        for _, side in (*self._clients, *self._servers):
            side.close()


async def times(gateways: Mapping[str, Gateway], batches: int) -> dict[str, float]:
    """Seconds of CPU time of a call, in each scene."""
    best = dict.fromkeys(gateways, math.inf)
    for _ in range(batches):
        for name, gateway in gateways.items():
            best[name] = min(best[name], await gateway.batch())
    return best


async def functions(gateway: Gateway) -> Counter[str]:
    """How often each function of ours runs in a batch, by module and name."""
    found: Counter[CodeType] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            found[frame.f_code] += 1

    sys.setprofile(note)
    try:
        await gateway.batch()
    finally:
        sys.setprofile(None)
    named = {code: code.co_filename.partition("/mcppool/")[2] for code in found}
    return Counter({f"{named[code]}:{code.co_qualname}": times for code, times in found.items() if named[code]})


async def measured_here(folder: Path, options: argparse.Namespace) -> Result:
    chosen = scenes(folder)
    if options.scenes:
        chosen = {name: chosen[name] for name in options.scenes.split(",")}
    gateways = {name: Gateway(sections, key) for name, (sections, key) in chosen.items()}
    try:
        for gateway in gateways.values():
            for _ in range(3):
                await gateway.batch()
        counts = {name: await functions(gateway) for name, gateway in gateways.items()}
        best = await times(gateways, options.batches)
    finally:
        for gateway in gateways.values():
            await gateway.stop()
    text = f"{report.versions_line(machine.versions())}\n\n{table(best, counts)}"
    return Result(text, {"calls": best}, more=listed(counts) if options.count else "")


def table(best: Mapping[str, float], counts: Mapping[str, Counter[str]]) -> str:
    first = next(iter(best.values()))
    rows = [
        [name, f"{cost * 1e6:.2f}", f"{(cost - first) * 1e6:+.2f}", f"{cost / first:.3f}",
         f"{counts[name].total() / (CLIENTS * TURNS):.1f}"]
        for name, cost in best.items()
    ]  # fmt: skip
    return report.table(["scene", "CPU µs of a call", "more than the first", "÷ first", "functions"], rows)


def listed(counts: Mapping[str, Counter[str]]) -> str:
    """The functions that each scene runs at least once in 20 calls."""
    lines = []
    for name, found in counts.items():
        lines.append(f"\n{name}:")
        each = {function: times / (CLIENTS * TURNS) for function, times in found.items()}
        lines += [f"{times:6.2f}  {function}" for function, times in sorted(each.items()) if times >= 0.05]
    return "\n".join(lines)


def measured(options: argparse.Namespace) -> Result:
    with tempfile.TemporaryDirectory(prefix="mcppool-bench-") as directory:
        return uvloop.run(measured_here(Path(directory), options))


def main() -> int:
    parser = command.parser(__doc__)
    parser.add_argument("--batches", type=int, default=40, help="batches of each scene (default 40)")
    parser.add_argument("--scenes", help="some of the scenes, with commas between them")
    parser.add_argument("--count", action="store_true", help="list the functions that a call runs")
    options = parser.parse_args()
    logs.configure("warning")
    return command.run("calls", options, lambda: measured(options))


if __name__ == "__main__":
    sys.exit(main())
