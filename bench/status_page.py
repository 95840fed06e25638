"""`make bench-page`: CPU time of a gateway with 200 endpoints and 300 tools while a browser shows its status page.

The gateway is a real one with a real admin port, in a process of its own; the counters of its tools are moved by hand,
because no load is to be measured. The page is fetched as its script does it, in turns with nobody looking.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

SECONDS = 20.0
"""Length of one turn: two slots of the history."""


async def serve(config: Path, tools: int) -> None:
    """Serve this configuration, and count made-up calls of so many tools."""
    from mcppool.discovery.file import FileSource
    from mcppool.gateway.gateway import Gateway

    gateway = Gateway(FileSource(config))
    await gateway.start()
    print(gateway.admin_port, flush=True)
    metrics = gateway.metrics.pool("search")
    names = [f"tool_{number}" for number in range(tools)]
    rng = random.Random(1)
    while True:
        metrics.known_tools = frozenset(names)  # the catalog of the servers has others
        for name in names:
            stats = metrics.tool(name)
            stats.success += 1
            stats.duration.observe(rng.lognormvariate(-4, 1))
            if rng.random() < 0.02:
                stats.error += 1
                stats.fail("timeout")
        await asyncio.sleep(2)


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def look(admin: str, seconds: float, *, watching: bool) -> dict[str, Any]:
    """Fetch what the page fetches for so long, or wait."""
    deadline, slot, newest, size = time.monotonic() + seconds, 0, None, 0
    while time.monotonic() < deadline:
        if watching:
            with urllib.request.urlopen(f"{admin}/status.json?gateways=all") as answer:
                size = len(answer.read())
            if slot != (slot := int(time.time() - 1) // 10):
                after = "" if newest is None else f"&after={newest - 1}"
                newest = json.loads(urllib.request.urlopen(f"{admin}/history.json?gateways=all{after}").read())[
                    "newest"
                ]
        time.sleep(1)
    return {"size": size}


def measure(endpoints: int, tools: int, turns: int) -> None:
    """Print the shares of a core."""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, "-m", "bench.upstream", "--ports", str(endpoints)], stdout=subprocess.PIPE
        ) as upstream,
    ):
        assert upstream.stdout is not None
        urls = [f"http://127.0.0.1:{port}/mcp" for port in json.loads(upstream.stdout.readline())]
        config = Path(folder) / "pools.toml"
        config.write_text(
            f'[listener]\nlisten = "127.0.0.1:0"\n[metrics]\nport = 0\n[logging]\nlevel = "error"\n'
            f'[[pools]]\nname = "search"\nendpoints = {json.dumps(urls)}\n'
        )
        argv = [sys.executable, "-m", "bench.status_page", "--serve", str(config), "--tools", str(tools)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as gateway:
            try:
                assert gateway.stdout is not None
                admin = f"http://127.0.0.1:{int(gateway.stdout.readline())}"
                look(admin, 25, watching=False)  # the endpoints are checked, and the first slots end
                look(admin, 2, watching=True)
                shares: dict[bool, list[float]] = {False: [], True: []}
                size = 0
                for _ in range(turns):
                    for watching in (False, True):
                        before = cpu_seconds(gateway.pid)
                        size = look(admin, SECONDS, watching=watching)["size"] or size
                        shares[watching].append((cpu_seconds(gateway.pid) - before) / SECONDS)
                closed, opened = median(shares[False]), median(shares[True])
                print(f"{endpoints} endpoints, {tools} tools, {size / 1024:.0f} KiB of status a second")
                print(
                    f"nobody looks: {closed:.1%} of a core; the page is open: {opened:.1%}; more: {opened - closed:.1%}"
                )
            finally:
                gateway.terminate()
                upstream.terminate()


def main() -> None:
    """Measure, or be the gateway that is measured."""
    parser = argparse.ArgumentParser(prog="status_page")
    parser.add_argument("--endpoints", type=int, default=200)
    parser.add_argument("--tools", type=int, default=300)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve is not None:
        asyncio.run(serve(args.serve, args.tools))
    else:
        measure(args.endpoints, args.tools, args.turns)


if __name__ == "__main__":
    main()
