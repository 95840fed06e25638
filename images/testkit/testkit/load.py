"""A steady load of modern read-only calls, each worker an SDK client of its own.

Every call counts: a failure is an exception out of the SDK, a tool error, or an answer that is not what was asked for.
Progress is one JSON line about five times a second, the last line has `"final": true`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from mcp import Client

from testkit.client import text_of

PROGRESS_INTERVAL = 0.2
KEPT_ERRORS = 20


@dataclass
class Tally:
    """What happened so far."""

    calls: int = 0
    failures: int = 0
    replicas: Counter[str] = field(default_factory=Counter)
    protocols: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)

    def failed(self, error: BaseException) -> None:
        """Count a failure; the first few are kept in words."""
        self.failures += 1
        if len(self.errors) < KEPT_ERRORS:
            self.errors.append(f"{time.strftime('%H:%M:%S')} after {self.calls} calls: {describe(error)}")

    def as_dict(self, final: bool) -> dict[str, Any]:
        """The tally as one JSON object; times in milliseconds."""
        ordered = sorted(self.durations)
        return {
            "final": final,
            "calls": self.calls,
            "failures": self.failures,
            "replicas": dict(self.replicas),
            "protocols": sorted(self.protocols),
            "errors": self.errors,
            "milliseconds": {name: at(ordered, share) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))},
        }


def at(ordered: list[float], share: float) -> float | None:
    """The duration that `share` of them do not exceed, in milliseconds."""
    return round(1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)], 2) if ordered else None


def describe(error: BaseException) -> str:
    """An exception in one line, groups taken apart."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error} {getattr(error, 'data', None) or ''}".strip()


async def run(url: str, workers: int, rate: float, seconds: float) -> None:
    """Call until standard input ends, SIGTERM comes, or `seconds` are over."""
    tally, stop = Tally(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(sys.stdin.fileno(), stop_at_end_of_input, stop)
    loop.call_later(seconds, stop.set)
    tasks = [asyncio.create_task(work(url, tally, stop, workers / rate)) for _ in range(workers)]
    while not stop.is_set():
        print(json.dumps(tally.as_dict(False)), flush=True)
        try:
            await asyncio.wait_for(stop.wait(), PROGRESS_INTERVAL)
        except TimeoutError:
            pass
    loop.remove_reader(sys.stdin.fileno())
    await asyncio.gather(*tasks)
    print(json.dumps(tally.as_dict(True)), flush=True)


def stop_at_end_of_input(stop: asyncio.Event) -> None:
    """Read what standard input has; at its end, stop."""
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


async def work(url: str, tally: Tally, stop: asyncio.Event, interval: float) -> None:
    """One client after another until `stop`: a client that broke was a failure, and is replaced."""
    while not stop.is_set():
        try:
            async with Client(url) as client:
                tally.protocols.add(str(client.protocol_version))
                await call_steadily(client, tally, stop, interval)
        except Exception as error:
            tally.failed(error)
            await asyncio.sleep(interval)


async def call_steadily(client: Client, tally: Tally, stop: asyncio.Event, interval: float) -> None:
    """One call every `interval` seconds, or as soon as the last one is answered."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while not stop.is_set():
        started = loop.time()
        tally.calls += 1
        try:
            tally.replicas[text_of(await client.call_tool("whoami", {}))] += 1
        except Exception as error:
            tally.failed(error)
        tally.durations.append(loop.time() - started)
        due = max(due + interval, loop.time())
        await asyncio.sleep(due - loop.time())
