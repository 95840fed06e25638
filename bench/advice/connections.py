"""Traces of connections: the floor and the ceiling of their number."""

from __future__ import annotations

import heapq
import random

from bench.advice.scene import SECONDS, SLOT, InFlight, Scene, Settings, arrivals, facts
from mcppool.advise.connections import connections
from mcppool.advise.facts import EndpointFacts, PoolFacts

CEILING, FLOOR = "connection_pool.max_connections", "connection_pool.min_connections"
IDLE = 5.0
"""Seconds after which a connection above the floor is closed."""


def few_connections(settings: Settings) -> tuple[float, PoolFacts]:
    """100 calls a second of 0.1 s at one endpoint, with bursts."""
    rng = random.Random(4)
    free = [0.0] * settings[CEILING]
    heapq.heapify(free)
    begun: list[tuple[float, float, float]] = []
    for now in arrivals(100, rng):
        start = max(now, heapq.heappop(free))
        heapq.heappush(free, start + 0.1)
        begun.append((now, start, start + 0.1))
    slots = [SLOT * number for number in range(1, int(SECONDS / SLOT))]
    in_flight = tuple(sum(start <= at < end for _, start, end in begun) for at in slots)
    waiting = tuple(sum(came <= at < start for came, start, _ in begun) for at in slots)
    mean = sum(start - came for came, start, _ in begun) / len(begun) * 1000
    return mean, facts(
        settings, endpoints=(EndpointFacts("a"),), in_flight=in_flight, waiting=waiting, calls=len(begun)
    )


def short_bursts(settings: Settings) -> tuple[float, PoolFacts]:
    """60 calls of 0.1 s at once every ten seconds, and nothing at the ends of the slots."""
    free = [0.0] * settings[CEILING]
    heapq.heapify(free)
    counted, waits = InFlight(), []
    for burst in range(int(SECONDS / SLOT)):
        for _ in range(60):
            now = SLOT * burst + 3.0
            start = max(now, heapq.heappop(free))
            heapq.heappush(free, start + 0.1)
            counted.begin(now, start + 0.1)
            waits.append(start - now)
    counted.forget(SECONDS)
    return sum(waits) / len(waits) * 1000, facts(
        settings, endpoints=(EndpointFacts("a"),), calls=len(waits), **counted.facts()
    )


def waves(settings: Settings) -> tuple[float, PoolFacts]:
    """At the end of each slot a wave of 20 calls of 0.5 s, and before it nothing for longer than a connection above the
    floor stays open: the calls that wait until a connection is open."""
    floor, dials = settings[FLOOR], 0
    counted = InFlight()
    open_until: list[float] = []  # of connections above the floor
    for wave in range(1, int(SECONDS / SLOT) + 1):
        now = SLOT * wave - 0.2
        open_until = [until for until in open_until if until > now]
        for number in range(20):
            counted.begin(now, now + 0.5)
            if number >= floor + len(open_until):
                dials += 1
        open_until = [now + 0.5 + IDLE] * max(0, 20 - floor)
    counted.forget(SECONDS)
    return dials, facts(settings, endpoints=(EndpointFacts("a"),), calls=20 * wave, **counted.facts())


def quiet_pool(settings: Settings) -> tuple[float, PoolFacts]:
    """Two calls a second of 0.1 s over four endpoints: open connections at the servers without a call, on average."""
    rng, counted = random.Random(12), InFlight()
    calls, used = 0, 0.0
    for now in arrivals(2, rng):
        counted.begin(now, now + 0.1)
        calls, used = calls + 1, used + 0.1
    counted.forget(SECONDS)
    endpoints = tuple(EndpointFacts(key) for key in "abcd")
    idle = settings[FLOOR] * len(endpoints) - used / SECONDS
    return idle, facts(settings, endpoints=endpoints, calls=calls, **counted.facts())


SCENES = (
    Scene("few connections", "mean wait, ms", {CEILING: 10, FLOOR: 5}, connections, few_connections),
    Scene("short bursts", "mean wait, ms", {CEILING: 10, FLOOR: 10}, connections, short_bursts),
    Scene("waves", "calls that wait for a new connection", {CEILING: 50, FLOOR: 2}, connections, waves),
    Scene("a quiet pool", "idle connections", {CEILING: 50, FLOOR: 20}, connections, quiet_pool),
)
