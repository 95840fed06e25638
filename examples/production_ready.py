"""mcppool at work, on real parts: what `make run` runs.

Three replicas of the official SDK's everything server, the gateway in front of them as a user starts it (`mcppool
serve`), and a client of the official SDK that calls through it: pooled connections, balancing, a replica killed and
back, retries, a circuit breaker, metrics, health, cache. Then everything stays up, for a client of your own, until
Ctrl-C (or SIGTERM), which ends everything again.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import textwrap
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from demo import configuration
from demo.gateway import Gateway
from demo.load import Load, everything_calls, troubled_calls
from demo.processes import HOST, EndedError, everything_server, free_ports, switch, troubled_server
from demo.screen import Screen
from mcp import Client

ROOT = Path(__file__).resolve().parent.parent
EVERYTHING = ROOT / ".cache" / "everything-server"
FAMILIES = (
    "mcp_connections_total",
    "mcp_connection_pool_size",
    "mcp_tool_executions_total",
    "mcp_circuit_breaker_transitions_total",
    "mcppool_retries_total",
)

FOR_CLIENTS = """\
It stays up. Point a client of your own at

    {url}

  the official SDK for Python:    from mcp import Client
                                  async with Client("{url}") as client:
                                      print(await client.call_tool("test_simple_text", {{}}))

  an MCP client's JSON file:      {{"mcpServers": {{"everything": {{"type": "http", "url": "{url}"}}}}}}

  a page to watch it on:          {admin}/
  for programs:                   {admin}/metrics   {admin}/health   {admin}/configz
  the file, to be edited:         {file}

Your own servers:  .venv/bin/mcppool serve http://127.0.0.1:8001/mcp http://127.0.0.1:8002/mcp
End with Ctrl-C.
"""


class Story:
    """The steps, in order. Each announces itself, runs, and shows the figures."""

    def __init__(self, screen: Screen, folder: Path) -> None:
        self._say = screen.say
        self._live = screen.live
        self._step = 0
        self._began = time.perf_counter()
        self._ports = dict(zip("abcdef", free_ports(6), strict=True))
        self._everything = {name: everything_server(name, EVERYTHING, self._ports[name]) for name in "abc"}
        self._troubled = {name: troubled_server(name, self._ports[name]) for name in "def"}
        self._gateway = Gateway(folder, [self._ports[name] for name in "abc"])

    async def run(self) -> None:
        """All steps, and then staying up until cancelled."""
        self._say(f"mcppool {version('mcp-server-pool')}: one MCP endpoint in front of replicas of one MCP server")
        gateway = self._gateway
        await self._start()
        async with Client(gateway.url("everything")) as client, gateway.following():
            await self._first_call(client)
            async with Load(everything_calls(client), callers=4, pause=0.02) as load:
                await self._connections(load)
                await self._balancing(load)
                await self._failure(load)
                load.pause = 0.5
                await self._second_pool()
                async with Client(gateway.url("troubled")) as other:
                    async with Load(troubled_calls(other), callers=4, pause=0.02) as troubled:
                        await self._retries(troubled)
                        await self._breaker(troubled)
                    await self._metrics()
                    await self._health()
                    await self._cache(other)
                self._say()
                self._say(FOR_CLIENTS.format(url=gateway.url("everything"), admin=gateway.admin, file=gateway.file))
                async with self._live(lambda: self._shares("everything", load), every=60):
                    while True:
                        gateway.check()
                        await asyncio.sleep(1)

    def _title(self, text: str) -> None:
        self._step += 1
        self._say("\n" + textwrap.fill(f"{self._step}. {text}", 100, subsequent_indent="   "))

    def _quote(self, text: str) -> None:
        self._say(textwrap.indent(text.rstrip(), "   | ", lambda _: True))

    # --- the steps -------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        self._title("Three replicas of the official SDK's everything server start, each a process of its own")
        await asyncio.gather(*(replica.start() for replica in self._everything.values()))
        for name, replica in self._everything.items():
            self._say(f"   {name}  http://{HOST}:{self._ports[name]}/mcp  (process {replica.pid})")
        self._title("The gateway starts in front of them: mcppool serve --config pools.toml. The file:")
        self._quote(self._gateway.file.read_text())
        began = time.perf_counter()
        await self._gateway.start()
        self._say(f"   ready after {time.perf_counter() - began:.1f} s, at {self._gateway.url('everything')}")

    async def _first_call(self, client: Client) -> None:
        self._title(f"A client of the official SDK (mcp {version('mcp')}) calls a tool through it")
        result = await client.call_tool("test_simple_text", {})
        text = getattr(result.content[0], "text", "")
        self._say(f"   protocol {client.protocol_version}, answer: {text!r}")
        self._say(f"   first answer {time.perf_counter() - self._began:.1f} s after the start of all this")

    async def _connections(self, load: Load) -> None:
        self._title("Connection pool: connections are opened ahead of the calls, and every call borrows one")
        async with self._live(lambda: f"   {self._open('everything')} | {load.figures.calls:,} calls"):
            await asyncio.sleep(2)
        opened = await self._gateway.metrics('mcp_connections_total{server_id="everything",status="connected"}')
        self._say(f"   opened until now, for {load.figures.calls:,} calls: {sum(opened.values()):.0f}")

    async def _balancing(self, load: Load) -> None:
        self._title("Balancing: four callers at once call tools, read resources, get prompts; the replicas share that")
        async with self._live(lambda: self._shares("everything", load)):
            await asyncio.sleep(3)

    async def _failure(self, load: Load) -> None:
        failed = load.figures.failed
        self._title("A failure: replica b is killed while the calls go on")
        async with self._live(lambda: self._shares("everything", load)):
            await self._everything["b"].kill()
            await asyncio.sleep(3)
        self._title("Recovery: replica b is started again, and gets calls as soon as the gateway sees it")
        async with self._live(lambda: self._shares("everything", load)):
            await self._everything["b"].start()
            began, had = time.perf_counter(), self._endpoint("everything", "b")["attempts"]
            await self._gateway.until(lambda: bool(self._endpoint("everything", "b")["attempts"] > had), limit=40)
        self._say(f"   its first call came {time.perf_counter() - began:.1f} s after it was up")
        self._say(f"   calls that failed in all this: {load.figures.failed - failed}")
        self._errors(load)

    async def _second_pool(self) -> None:
        self._title(
            "The everything server cannot be made to fail. So a second pool is added to the file while the gateway "
            "serves: three replicas of a small server made with the SDK (examples/demo/troubled_server.py), which has "
            "a switch for faults"
        )
        addition = configuration.second(self._ports[name] for name in "def")
        self._quote(addition)
        await asyncio.gather(*(replica.start() for replica in self._troubled.values()))
        began = time.perf_counter()
        with self._gateway.file.open("a") as file:
            file.write("\n" + addition)
        await self._gateway.until(lambda: self._pool("troubled").get("catalogTools", 0) > 0, limit=20)
        self._say(f"   served {time.perf_counter() - began:.1f} s later, at {self._gateway.url('troubled')}")

    async def _retries(self, load: Load) -> None:
        self._title(
            "Retries: of every six calls of look_up that it gets, d answers one with HTTP 500, e breaks one off in the "
            "middle of the answer, f refuses one (429, and a second's rest). The tool only reads, so another replica "
            "is asked at once"
        )
        async with self._live(lambda: self._retried(load)):
            for name, fault in zip("def", ("error", "cut", "busy"), strict=True):
                await switch(self._ports[name], tool="look_up", fault=fault, every=6)
            await asyncio.sleep(4)
        for name in "def":
            await switch(self._ports[name])
        self._errors(load)

    async def _breaker(self, load: Load) -> None:
        self._title(
            "Circuit breaker: at replica e the tool convert now always answers HTTP 500. After five failures in a row "
            "e gets no call of this tool, and goes on with the others"
        )
        async with self._live(lambda: self._breakers(load)):
            await switch(self._ports["e"], tool="convert", fault="error")
            await self._gateway.until(lambda: "open" in self._states(), limit=30)
            await asyncio.sleep(2)
        self._title("The fault ends. After open_duration single calls try; three that succeed close the breaker")
        async with self._live(lambda: self._breakers(load)):
            await switch(self._ports["e"])
            await self._gateway.until(lambda: not self._states(), limit=30)
        self._errors(load)

    async def _metrics(self) -> None:
        self._title(f"Metrics: some families of {self._gateway.admin}/metrics, for Prometheus")
        for series, value in (await self._gateway.metrics(*FAMILIES)).items():
            if value:
                self._say(f"   {series} {value:g}")

    async def _health(self) -> None:
        self._title(f"Health of each component: {self._gateway.admin}/health")
        health = json.loads(await self._gateway.page("/health"))
        for name, part in health["components"].items():
            self._say(f"   {name}: {part['status']} ({part['message']})")
        self._say(f"   overall: {health['overall']}")

    async def _cache(self, client: Client) -> None:
        self._title("Cache: 400 calls of quote, about ten symbols; the file says that its results may be kept")
        symbols = [f"{letter}MP" for letter in "ABCDEFGHIJ"]
        took: list[float] = []
        for number in range(400):
            began = time.perf_counter()
            await client.call_tool("quote", {"symbol": symbols[number % len(symbols)]})
            took.append((time.perf_counter() - began) * 1000)
        label = '{cache_type="memory",tool_name="quote"}'
        seen = await self._gateway.metrics(f"mcp_cache_hits_total{label}", f"mcp_cache_misses_total{label}")
        hits, misses = seen.values()
        self._say(f"   {hits:.0f} hits, {misses:.0f} misses: a hit rate of {hits / (hits + misses):.1%}")
        made, kept = median(took[: len(symbols)]), median(took[len(symbols) :])
        self._say(f"   median of the calls that were made {made:.1f} ms, of those from the cache {kept:.1f} ms")

    # --- figures ---------------------------------------------------------------------------------------------------

    def _pool(self, name: str) -> dict[str, Any]:
        return self._gateway.pools.get(name, {})

    def _endpoint(self, pool: str, name: str) -> dict[str, Any]:
        port = f":{self._ports[name]}/"
        return next((each for each in self._pool(pool).get("endpoints", ()) if port in each["url"]), {"attempts": 0})

    def _each(self, pool: str) -> dict[str, dict[str, Any]]:
        return {name: self._endpoint(pool, name) for name in ("abc" if pool == "everything" else "def")}

    def _open(self, pool: str) -> str:
        held = {name: each.get("connections", {}).get("connected", 0) for name, each in self._each(pool).items()}
        return f"open: {', '.join(f'{name} {count}' for name, count in held.items())}, together {sum(held.values())}"

    def _shares(self, pool: str, load: Load) -> str:
        seen = load.figures
        shares = ", ".join(
            f"{name} {each['attempts']:,}{'' if each.get('state') == 'available' else ' (out)'}"
            for name, each in self._each(pool).items()
        )
        latency = f"median {seen.latency(50):.1f} ms, p99 {seen.latency(99):.0f} ms"
        return f"   {seen.calls:,} calls, {seen.failed} failed | {latency} | {shares}"

    def _retried(self, load: Load) -> str:
        classes = ", ".join(f"{name} {count}" for name, count in sorted(self._pool("troubled")["retries"].items()))
        return f"   {load.figures.calls:,} calls, {load.figures.failed} failed | retried: {classes or 'none'}"

    def _states(self) -> list[str]:
        return [breaker["state"] for breaker in self._pool("troubled")["breakers"]]

    def _breakers(self, load: Load) -> str:
        breakers = (f"{each['tool']} at e {each['state']}" for each in self._pool("troubled")["breakers"])
        others = self._endpoint("troubled", "e")["attempts"]
        state = ", ".join(breakers) or "all closed"
        return f"   {load.figures.calls:,} calls, {load.figures.failed} failed | {state} | e was sent {others:,} calls"

    def _errors(self, load: Load) -> None:
        for message, count in load.figures.errors.most_common(3):
            self._say(f"   failed {count} times: {message}")

    async def end(self) -> None:
        """End all that was started: the gateway in order, then the replicas."""
        await self._gateway.stop(limit=35)
        await asyncio.gather(*(replica.kill() for replica in (self._everything | self._troubled).values()))


async def main() -> int:
    """Run the story until a signal ends it; the exit status."""
    screen = Screen()
    if not EVERYTHING.is_dir():
        screen.say(f"{EVERYTHING} is missing: `make run` fetches it.")
        return 1
    with tempfile.TemporaryDirectory(prefix="mcppool-run-") as folder:
        story = Story(screen, Path(folder))
        running = asyncio.create_task(story.run())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        status = 0
        try:
            await running
        except asyncio.CancelledError:
            pass  # the signal
        except (EndedError, TimeoutError) as problem:
            screen.say(f"\n{problem or 'It took too long.'}")
            status = 1
        screen.say("\nEnding what was started here ...")
        await story.end()
    screen.say("All of it has ended.")
    return status


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
