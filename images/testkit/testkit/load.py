"""A steady load of SDK clients of both eras that read and write.

Each worker is a client of its own, modern or legacy. It calls `whoami`, a read, and `write`, which no gateway may
repeat and which the server records in the ledger. A client tries again only if a connection is refused, as HTTP clients
do. Every call counts: a failure is an exception of the SDK, a tool error, or an answer to another request.

Progress is one JSON line about five times per second. The last line has `"final": true`, and the ledger's counts of the
writes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from testkit.client import text_of
from testkit.ledger import Ledger

PROGRESS_INTERVAL = 0.2
KEPT_ERRORS = 20
CONNECT_RETRIES = 5
CONNECT_SECONDS = 3.0

Mode = Literal["auto", "legacy"]


@dataclass
class Tally:
    """The results so far."""

    calls: int = 0
    failed_reads: int = 0
    failed_handshakes: int = 0
    unsent_writes: int = 0  # that failed although, by the gateway's own error, no server had them
    unsure_writes: int = 0  # that failed, and may have been done
    written: list[str] = field(default_factory=list)
    failed_writes: list[str] = field(default_factory=list)
    replicas: Counter[str] = field(default_factory=Counter)
    protocols: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    durations: list[float] = field(default_factory=list)

    def failed(self, what: str, error: BaseException) -> None:
        """Keep the first few failures in words."""
        if len(self.errors) < KEPT_ERRORS:
            self.errors.append(f"{time.strftime('%H:%M:%S')} after {self.calls} calls, {what}: {describe(error)}")

    def as_dict(self, counts: dict[str, int] | None = None) -> dict[str, Any]:
        """The tally as one JSON object; times in milliseconds. `counts`, at the end, are the ledger's."""
        ordered = sorted(self.durations)
        return {
            "final": counts is not None,
            "calls": self.calls,
            "failures": self.failed_reads + self.failed_handshakes + self.unsent_writes + self.unsure_writes,
            "failedReads": self.failed_reads,
            "failedHandshakes": self.failed_handshakes,
            "unsentWrites": self.unsent_writes,
            "unsureWrites": self.unsure_writes,
            "writes": len(self.written),
            "replicas": dict(self.replicas),
            "protocols": sorted(self.protocols),
            "errors": self.errors,
            "milliseconds": {name: at(ordered, share) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))},
            **(self._judged(counts) if counts is not None else {}),
        }

    def _judged(self, counts: dict[str, int]) -> dict[str, Any]:
        return {
            "doubleWrites": sum(count > 1 for count in counts.values()),
            "lostWrites": sum(counts[id] == 0 for id in self.written),
        }


def at(ordered: list[float], share: float) -> float | None:
    """The duration that `share` of them do not exceed, in milliseconds."""
    return round(1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)], 2) if ordered else None


def describe(error: BaseException) -> str:
    """An exception in one line, groups taken apart."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error} {getattr(error, 'data', None) or ''}".strip()


def was_not_sent(error: BaseException) -> bool:
    """Whether the error says that no server had the call, or the connection was refused."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(was_not_sent, error.exceptions))
    data = getattr(error, "data", None)
    return isinstance(error, httpx2.ConnectError) or (isinstance(data, dict) and data.get("delivered") == "no")


async def run(url: str, workers: int, rate: float, seconds: float, timeout: float) -> None:
    """Call until standard input ends, SIGTERM comes, or `seconds` are over."""
    tally, stop = Tally(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(sys.stdin.fileno(), stop_at_end_of_input, stop)
    loop.call_later(seconds, stop.set)
    modes: itertools.cycle[Mode] = itertools.cycle(("auto", "legacy"))
    tasks = [asyncio.create_task(work(url, next(modes), tally, stop, workers / rate, timeout)) for _ in range(workers)]
    while not stop.is_set():
        print(json.dumps(tally.as_dict()), flush=True)
        try:
            await asyncio.wait_for(stop.wait(), PROGRESS_INTERVAL)
        except TimeoutError:
            pass
    loop.remove_reader(sys.stdin.fileno())
    await asyncio.gather(*tasks)
    counts = await Ledger().counts([*tally.written, *tally.failed_writes])
    print(json.dumps(tally.as_dict(counts)), flush=True)


def stop_at_end_of_input(stop: asyncio.Event) -> None:
    """Read standard input; at its end, stop."""
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


@asynccontextmanager
async def connected(url: str, mode: Mode, timeout: float = 120) -> AsyncIterator[Client]:
    """A client that only connects again after a refused connection, and does nothing else of its own accord."""
    transport = httpx2.AsyncHTTPTransport(retries=CONNECT_RETRIES)
    limits = httpx2.Timeout(timeout, connect=CONNECT_SECONDS)
    async with (
        httpx2.AsyncClient(transport=transport, timeout=limits) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


async def work(url: str, mode: Mode, tally: Tally, stop: asyncio.Event, interval: float, timeout: float) -> None:
    """One client after another until `stop`: a broken client counts as a failure, and is replaced."""
    while not stop.is_set():
        try:
            async with connected(url, mode, timeout) as client:
                tally.protocols.add(str(client.protocol_version))
                await call_steadily(client, tally, stop, interval)
        except Exception as error:
            tally.failed_handshakes += 1
            tally.failed(f"a {mode} client", error)
            await asyncio.sleep(interval)


async def call_steadily(client: Client, tally: Tally, stop: asyncio.Event, interval: float) -> None:
    """One call every `interval` seconds, or as soon as the last one is answered."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while not stop.is_set():
        started = loop.time()
        tally.calls += 1
        await (read if tally.calls % 2 else write)(client, tally)
        tally.durations.append(loop.time() - started)
        due = max(due + interval, loop.time())
        await asyncio.sleep(due - loop.time())


async def read(client: Client, tally: Tally) -> None:
    """Ask which replica answers."""
    try:
        tally.replicas[text_of(await client.call_tool("whoami", {}))] += 1
    except Exception as error:
        tally.failed_reads += 1
        tally.failed("a read", error)


async def write(client: Client, tally: Tally) -> None:
    """Write something under an id of its own."""
    id = uuid.uuid4().hex
    try:
        replica, done = text_of(await client.call_tool("write", {"id": id})).split()
        if done != id:
            raise RuntimeError(f"the answer is about {done}")
        tally.replicas[replica] += 1
        tally.written.append(id)
    except Exception as error:
        tally.failed_writes.append(id)
        if was_not_sent(error):
            tally.unsent_writes += 1
        else:
            tally.unsure_writes += 1
        tally.failed("a write", error)
