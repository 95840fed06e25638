"""`make screenshot`: the picture of the status page in docs, of four servers at work, two of them with faults.

`python -m tests.browser.screenshot FILE [--scheme dark] [--width N] [--height N]`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

from tests.browser import chromium
from tests.servers import Gateway, SwitchedReplica, modern_call, pool_toml, urls_of
from tests.servers.kinds import fault_replica
from tests.waiting import until

SECTIONS = """
[pools.retry_policy]
strategy = "adaptive"
[pools.cache]
type = "memory"
max_size = 1000
ttl = "5m"
[pools.tools.echo]
cache_ttl = "1m"
[pools.load_balancer]
strategy = "round_robin"
"""


async def shoot(file: Path, scheme: str, width: int, height: int) -> None:
    """Run the servers, call them, make one of them answer badly and end another, and save the page."""
    with tempfile.TemporaryDirectory() as folder:
        servers = [fault_replica(name, Path(folder) / "ledger") for name in "abcd"]
        front = Gateway(Path(folder), pool_toml(*urls_of(servers), name="search", sections=SECTIONS))
        calls: asyncio.Task[None] | None = None
        try:
            await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers))
            await asyncio.to_thread(front.start)
            calls = asyncio.create_task(call(front.url))
            await until(lambda: feed(front)["pools"][0]["cache"]["hits"] >= 50, "there is something to see")
            await fall_ill(front, servers[2], servers[3])
            async with chromium() as tab:
                await tab.show(front.admin, width=width, height=height, scheme=scheme)
                await tab.until("document.querySelector('tbody .state.bad')")
                await tab.value("Promise.all(document.getAnimations().map((each) => each.finished)).then(() => 0)")
                await asyncio.to_thread(file.write_bytes, await tab.picture())
        finally:
            if calls is not None:
                calls.cancel()
                await asyncio.gather(calls, return_exceptions=True)
            for server in servers:
                server.close()
            await asyncio.to_thread(front.close)


def feed(front: Gateway) -> Any:
    """The data that the page draws."""
    return json.loads(front.get("/status.json")[1])


async def fall_ill(front: Gateway, bad: SwitchedReplica, dead: SwitchedReplica) -> None:
    """One answers every call with a fault until it is left out, the other is killed."""
    await asyncio.to_thread(bad.show, "500")
    await until(
        lambda: any(endpoint["state"] == "ejected" for endpoint in feed(front)["pools"][0]["endpoints"]),
        "it is left out",
    )
    await asyncio.to_thread(dead.kill)


async def call(url: str) -> None:
    """Some calls per second, many of them equal; some may fail, because the picture shows that."""
    rng = random.Random(1)
    async with aiohttp.ClientSession() as http:
        while True:
            tool = rng.choice(("echo", "echo", "echo", "write"))
            headers, body = modern_call(tool, {"n": int(rng.expovariate(0.02))})
            async with http.post(url, data=body, headers=headers) as response:
                await response.read()
            await asyncio.sleep(rng.expovariate(60))


def main() -> None:
    """Save the picture."""
    parser = argparse.ArgumentParser(prog="screenshot")
    parser.add_argument("file", type=Path)
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    parser.add_argument("--width", type=int, default=1200)
    parser.add_argument("--height", type=int, default=1410)
    args = parser.parse_args()
    asyncio.run(shoot(args.file, args.scheme, args.width, args.height))


if __name__ == "__main__":
    main()
