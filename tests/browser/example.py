"""A made-up gateway for the admin pages: any number of endpoints and tools, ten minutes of past, two faults.

`python -m tests.browser.example [--endpoints N] [--tools N] [--port N]` serves its pages.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import exp, sin
from typing import Any

from mcppool.observe.admin import AdminServer
from mcppool.observe.history.history import SLOTS, History
from mcppool.observe.history.slot_maker import SlotMaker
from mcppool.observe.history.slots import SLOT_SECONDS
from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.pages import OwnPages
from mcppool.observe.tool_stats import ToolStats
from mcppool.observe.views import (
    CacheView,
    ComponentHealth,
    ConfigChangeView,
    ConfigView,
    EndpointView,
    EventView,
    LossView,
    PoolView,
    SettingView,
)

NAMES = ("search", "fetch", "summarize", "translate", "list_files", "read_file", "write_file", "run_query")
ILL_SLOTS = 24
"""The last slots, in which one endpoint is ejected and another is gone."""


class ExampleGateway:
    """See `AdminSource`. `now` is the time of its newest slot, by default the present."""

    def __init__(
        self, endpoints: int = 4, tools: int = 6, *, well: bool = False, seed: int = 1, now: float | None = None
    ) -> None:
        self.history = History()
        self._rng = random.Random(seed)
        self._well = well
        self._metrics = PoolMetrics("search")
        names = [
            NAMES[at] if at < len(NAMES) else f"{NAMES[at % len(NAMES)]}_{at // len(NAMES)}" for at in range(tools)
        ]
        self._tools = names
        self._metrics.known_tools = frozenset(names)
        self._urls = [f"http://10.0.{at // 250}.{at % 250 + 1}:8000/mcp" for at in range(endpoints)]
        self._attempts = [0] * endpoints
        self._failures = [0] * endpoints
        self._calls = self._failed = 0
        now = time.time() if now is None else now
        self._ill_since = datetime.fromtimestamp(now - ILL_SLOTS * SLOT_SECONDS, UTC)
        self._started = datetime.fromtimestamp(now - 3 * 3600, UTC)
        first = int(now // SLOT_SECONDS) - SLOTS + 1
        self._maker = SlotMaker((first - 1) * SLOT_SECONDS)
        for at in range(SLOTS):
            self._work(at)
            self.history.add(self._maker.take([(self._metrics, self._view(at))], (first + at) * SLOT_SECONDS))

    def turn(self) -> None:
        """One more slot."""
        self._work(SLOTS)
        self.history.add(self._maker.take([(self._metrics, self._view(SLOTS))], time.time()))

    def _ill(self, at: int) -> bool:
        return not self._well and at >= SLOTS - ILL_SLOTS

    def _work(self, at: int) -> None:
        """The calls of one slot."""
        rng = self._rng
        for index, name in enumerate(self._tools):
            stats = self._metrics.tool(name)
            rate = 900 * exp(-index / 3) + 3
            for _ in range(min(40, 1 + int(rate * (1 + 0.3 * sin(at / 9))) // 20)):
                self._one(stats, name, index, rng, ill=self._ill(at))
        self._metrics.modern += 300
        self._metrics.legacy += 90

    def _one(self, stats: ToolStats, name: str, index: int, rng: random.Random, *, ill: bool) -> None:
        weight = 8
        self._calls += weight
        slow = 0.006 * (1 + index % 4) * rng.lognormvariate(0, 0.7)
        if ill and index == 1 and rng.random() < 0.3:
            stats.error += weight
            stats.retries += weight
            self._failed += weight
            for _ in range(weight):
                stats.fail(rng.choice(("timeout", "upstream_error")))
            slow = 4.0
        elif rng.random() < 0.01:
            stats.tool_error += weight
        else:
            stats.success += weight
        for _ in range(weight):
            stats.duration.observe(slow)
        cache = self._metrics.cache("memory")
        if index in (0, 3):
            (cache.hit if rng.random() < 0.6 else cache.miss)(name)
        up = [at for at in range(len(self._urls)) if not (ill and at in (2, 3))]
        at = rng.choice(up)
        self._attempts[at] += weight

    def _view(self, at: int) -> PoolView:
        ill = self._ill(at)
        whole = sum(self._attempts) or 1
        endpoints = []
        for number, url in enumerate(self._urls):
            state, reason = "available", None
            if ill and number == 2:
                state, reason = "ejected", "for another 14 s: HTTP 500"
            elif ill and number == 3:
                state, reason = "unreachable", "connection refused"
            endpoints.append(
                EndpointView(
                    url, state == "available", state, reason, zone="eu-1" if number % 2 == 0 else "eu-2",
                    since=self._ill_since if reason else self._started,
                    score=0.0 if reason else 0.98 - 0.02 * (number % 4),
                    share=0.0 if reason else self._attempts[number] / whole,
                    expected_share=0.0 if reason else 1 / max(1, len(self._urls) - (2 if ill else 0)),
                    rate=0.0 if reason else 30.0, active_requests=0 if reason else 1 + number % 3,
                    sessions=number, latency=None if reason else 0.012 + 0.003 * (number % 5),
                    connections={"connected": 4 if not reason else 0}, requests=self._attempts[number],
                    failures=self._failures[number] + (37 if reason else 0),
                    breakers={self._tools[1]: "open"} if ill and number == 2 else {},
                )
            )  # fmt: skip
        now = datetime.now(UTC)
        cache = self._metrics.cache("memory")
        hits, misses = sum(cache.hits.values()), sum(cache.misses.values())
        return PoolView(
            "search", tuple(endpoints), waiting=0, sessions=41, catalog_tools=len(self._tools),
            cache=CacheView("memory", 812, 3_400_000, None, hits, misses, 31, 4),
            breakers={self._tools[1]: 2} if ill else {},
            outcomes={"success": self._calls - self._failed, "error": self._failed},
            retries={"timeout": 40, "network": 12} if not self._well else {}, hedges=3, rate=142.0,
            losses=(
                LossView(
                    "timeout", self._ill_since, now, 96, 120, self._tools[1], self._urls[0], "no answer within 5 s"
                ),
                LossView(
                    "upstream_error", self._ill_since, now - timedelta(seconds=14), 71, 71, self._tools[1],
                    self._urls[2], "HTTP 500: internal error",
                ),
            ) if ill else (),
            events=(
                EventView(now, self._urls[2], "ejected", "HTTP 500", 3),
                EventView(self._ill_since, self._urls[3], "unreachable", "connection refused", 1),
            ) if ill else (),
            calls=self._calls, failed_calls=self._failed,
        )  # fmt: skip

    def ready(self) -> Mapping[str, str]:
        return {}

    def answering(self) -> Mapping[str, str]:
        return {}

    def health(self) -> Mapping[str, ComponentHealth]:
        pool = (
            ComponentHealth("healthy", f"{len(self._urls)} servers take calls", self._started)
            if self._well
            else ComponentHealth(
                "degraded", f"2 of {len(self._urls)} servers take no calls: connection refused", self._ill_since
            )
        )
        names = ("connection_pool", "balancer", "breakers", "cache", "redis", "configuration", "memory")
        return {"pool search": pool, **{name: ComponentHealth("healthy", "works", self._started) for name in names}}

    def config(self) -> ConfigView:
        return ConfigView("sha256:4f0c5d1be2a97c66", 12, 1, self._started)

    def config_changes(self) -> Sequence[ConfigChangeView]:
        changed = (
            SettingView("pools.search.timeouts.request", "30s", "5m"),
            SettingView("pools.search.endpoints[http://10.0.0.4:8000/mcp].url", None, "http://10.0.0.4:8000/mcp"),
        )
        return [
            ConfigChangeView(self._started, "sha256:4f0c5d1be2a97c66", 12, changed),
            ConfigChangeView(self._started - timedelta(minutes=40), "sha256:4f0c5d1be2a97c65", 11),
        ]

    def zone(self) -> str | None:
        return "eu-1"

    def settings(self) -> Mapping[str, object]:
        return {}

    def public_keys(self) -> Sequence[Mapping[str, object]]:
        return []

    def workload(self) -> dict[str, Any]:
        sampled = {"annotation": "read-only", "repeatable": True, "cached": False, "sampled": 410, "different": 0}
        repeated = {"repeated": 254, "same": 254, "seconds": 21.3, "otherSession": 0, "inSession": 0}
        return {"search": {"serverSessions": False, "tools": {"fetch": {**sampled, **repeated}}}}

    def pool_views(self) -> Sequence[PoolView]:
        return [self._view(SLOTS)]


async def main() -> None:
    """Serve the pages until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="example")
    parser.add_argument("--endpoints", type=int, default=4)
    parser.add_argument("--tools", type=int, default=6)
    parser.add_argument("--well", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    gateway = ExampleGateway(args.endpoints, args.tools, well=args.well)
    server = AdminServer("127.0.0.1", args.port, OwnPages(gateway))
    await server.start()
    print(f"http://127.0.0.1:{server.port}/", flush=True)
    while True:
        await asyncio.sleep(SLOT_SECONDS - time.time() % SLOT_SECONDS)
        gateway.turn()


if __name__ == "__main__":
    asyncio.run(main())
