"""mcppool at work, on real parts: what `make run` runs.

Three replicas of the official SDK's everything server, the gateway in front of them as a user starts it (`mcppool
serve`), and a client of the official SDK that calls through it. One replica is killed and comes back while calls go on.
Then everything stays up, for a client of your own, until Ctrl-C (or SIGTERM), which ends all that was started here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

from demo.load import Load
from demo.processes import HOST, Child, EndedError, everything_server, free_port
from demo.screen import Screen
from mcp import Client

ROOT = Path(__file__).resolve().parent.parent
EVERYTHING = ROOT / ".cache" / "everything-server"

CONFIGURATION = """\
profile = "production"

[listener]
listen = "{listen}"

[metrics]
port = {admin_port}

[[pools]]
name = "everything"
endpoints = {endpoints}

[pools.tools."test_*"]
idempotent = true            # this server does not say that its tools may be repeated; we know that these may
"""

FOR_CLIENTS = """\
It stays up. Point a client of your own at

    {url}

  the official SDK for Python:    from mcp import Client
                                  async with Client("{url}") as client:
                                      print(await client.call_tool("test_simple_text", {{}}))

  an MCP client's JSON file:      {{"mcpServers": {{"everything": {{"type": "http", "url": "{url}"}}}}}}

  what it measures:               {admin}/metrics   {admin}/health   {admin}/configz

Your own servers:  .venv/bin/mcppool serve http://127.0.0.1:8001/mcp http://127.0.0.1:8002/mcp
End with Ctrl-C.
"""


class Gateway(Child):
    """`mcppool serve --config FILE`, and what its admin port says."""

    def __init__(self, folder: Path, replicas: dict[str, int]) -> None:
        port, admin_port = free_port(8080), free_port(9090)
        self.url = f"http://{HOST}:{port}/mcp"
        self.admin = f"http://{HOST}:{admin_port}"
        self._ports = replicas
        self._looked = asyncio.Event()
        self.shares = dict.fromkeys(replicas, 0)
        self.available = dict.fromkeys(replicas, False)
        config = folder / "pools.toml"
        endpoints = json.dumps([f"http://{HOST}:{replica}/mcp" for replica in replicas.values()])
        config.write_text(CONFIGURATION.format(listen=f"{HOST}:{port}", admin_port=admin_port, endpoints=endpoints))
        command = [str(Path(sys.executable).with_name("mcppool")), "serve", "--config", str(config)]
        super().__init__("the gateway", command, f"{self.admin}/readyz")

    def page(self, path: str) -> str:
        """A page of the admin port."""
        with urllib.request.urlopen(self.admin + path, timeout=5) as response:
            text: str = response.read().decode()
            return text

    async def follow(self) -> None:
        """Keep `shares` (attempts sent to each replica) and `available` in step with /metrics, until cancelled."""
        while True:
            for line in (await asyncio.to_thread(self.page, "/metrics")).splitlines():
                for name, port in self._ports.items():
                    if f":{port}" not in line:
                        continue
                    if line.startswith("mcppool_endpoint_requests_total{"):
                        self.shares[name] = int(float(line.rsplit(" ", 1)[1]))
                    elif line.startswith("mcppool_endpoint_available{"):
                        self.available[name] = line.endswith(" 1.0")
            self._looked.set()
            await asyncio.sleep(0.2)

    async def until_share(self, name: str, more: int, limit: float) -> None:
        """Wait until a replica was sent `more` attempts from now on. Raises TimeoutError after `limit` seconds."""
        wanted = self.shares[name] + more
        async with asyncio.timeout(limit):
            while self.shares[name] < wanted:
                self._looked.clear()
                await self._looked.wait()


class Story:
    """The steps, in order. Each says what it does, does it, and shows the figures."""

    def __init__(self, screen: Screen, folder: Path) -> None:
        self._screen = screen
        self._began = time.perf_counter()
        ports: dict[str, int] = {}
        for name in "abc":
            ports[name] = free_port(max(ports.values()) + 1 if ports else None)
        self._ports = ports
        self.replicas = {name: everything_server(name, EVERYTHING, port) for name, port in ports.items()}
        self.gateway = Gateway(folder, ports)

    async def run(self) -> None:
        """All steps, and then staying up until cancelled."""
        say = self._screen.say
        say(f"mcppool {version('mcp-server-pool')}: one MCP endpoint in front of replicas of one MCP server\n")
        await self._start_servers()
        async with Client(self.gateway.url) as client:
            await self._first_call(client)
            async with Load(client, callers=4, pause=0.02) as load, self._following():
                await self._share(load)
                await self._lose_one(load)
                await self._health()
                load.pause = 0.5
                say(FOR_CLIENTS.format(url=self.gateway.url, admin=self.gateway.admin))
                async with self._screen.live(lambda: self._figures(load), every=60):
                    while True:
                        self.gateway.check()
                        await asyncio.sleep(1)

    async def _start_servers(self) -> None:
        self._screen.say("1. Three replicas of the official SDK's everything server start, each a process of its own")
        await asyncio.gather(*(replica.start() for replica in self.replicas.values()))
        for name, replica in self.replicas.items():
            self._screen.say(f"   {name}  http://{HOST}:{self._ports[name]}/mcp  (process {replica.pid})")
        began = time.perf_counter()
        self._screen.say("\n2. The gateway starts in front of them: mcppool serve --config pools.toml")
        await self.gateway.start()
        self._screen.say(f"   ready after {time.perf_counter() - began:.1f} s, at {self.gateway.url}")

    async def _first_call(self, client: Client) -> None:
        self._screen.say(f"\n3. A client of the official SDK (mcp {version('mcp')}) calls a tool through it")
        result = await client.call_tool("test_simple_text", {})
        text = getattr(result.content[0], "text", "")
        self._screen.say(f"   protocol {client.protocol_version}, answer: {text!r}")
        self._screen.say(f"   first answer {time.perf_counter() - self._began:.1f} s after the start of all this")

    async def _share(self, load: Load) -> None:
        self._screen.say(
            "\n4. Four callers at once call tools, read resources, get prompts: the replicas share the work"
        )
        async with self._screen.live(lambda: self._figures(load)):
            await asyncio.sleep(3)

    async def _lose_one(self, load: Load) -> None:
        self._screen.say("\n5. Replica b is killed while the calls go on")
        async with self._screen.live(lambda: self._figures(load)):
            await self.replicas["b"].kill()
            await asyncio.sleep(3)
        self._screen.say("\n6. Replica b is started again, and gets calls as soon as the gateway sees it")
        async with self._screen.live(lambda: self._figures(load)):
            await self.replicas["b"].start()
            began = time.perf_counter()
            await self.gateway.until_share("b", more=1, limit=40)
        self._screen.say(
            f"   its first call came {time.perf_counter() - began:.1f} s after it was up; its share grows (slow start)"
        )
        for message, count in load.figures.errors.most_common(3):
            self._screen.say(f"   failed {count} times: {message}")

    async def _health(self) -> None:
        self._screen.say("\n7. What the gateway says of itself")
        health = json.loads(await asyncio.to_thread(self.gateway.page, "/health"))
        for name, part in health.get("components", {}).items():
            self._screen.say(f"   {name}: {part['status'] if isinstance(part, dict) else part}")
        self._screen.say(f"   overall: {health.get('status', health.get('overall'))}\n")

    def _figures(self, load: Load) -> str:
        seen = load.figures
        shares = ", ".join(
            f"{name} {share:,}{'' if self.gateway.available[name] else ' (out)'}"
            for name, share in self.gateway.shares.items()
        )
        latency = f"median {seen.latency(50):.1f} ms, p99 {seen.latency(99):.0f} ms"
        return f"   {seen.calls:,} calls, {seen.failed} failed | {latency} | {shares}"

    @contextlib.asynccontextmanager
    async def _following(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.gateway.follow())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def end(self) -> None:
        """End all that was started: the gateway in order, then the replicas."""
        await self.gateway.stop(limit=35)
        await asyncio.gather(*(replica.kill() for replica in self.replicas.values()))


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
            screen.say(f"\n{problem}")
            status = 1
        screen.say("\nEnding what was started here ...")
        await story.end()
    screen.say("All of it has ended.")
    return status


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
