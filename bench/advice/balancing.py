"""Traces of endpoints and sessions: strategies, and sessions without state."""

from __future__ import annotations

import heapq
import random
from bisect import bisect

from bench.advice.scene import Scene, Server, Settings, arrivals, facts, tool
from mcppool.advise.balancing import strategy
from mcppool.advise.facts import EndpointFacts, PoolFacts
from mcppool.advise.sessions import sessions
from mcppool.policy.balancing import STRATEGIES


def uneven_endpoints(settings: Settings) -> tuple[float, PoolFacts]:
    """40 calls a second over three endpoints, one of which is eight times slower."""
    rng = random.Random(2)
    servers = [Server("a", 0.05), Server("b", 0.05), Server("c", 0.4)]
    chosen = STRATEGIES[settings["load_balancer.strategy"]](rng)
    ends: list[tuple[float, int]] = []
    times = []
    for now in arrivals(40, rng):
        while ends and ends[0][0] <= now:
            end, number = heapq.heappop(ends)
            servers[number].active -= 1
            servers[number].latency.observe(servers[number].time, end)
        server = chosen.pick(servers, now)
        server.active += 1
        server.attempts += 1
        times.append(server.time)
        heapq.heappush(ends, (now + server.time, servers.index(server)))
    endpoints = tuple(EndpointFacts(each.key, True, each.attempts, each.latency.measured) for each in servers)
    return sum(times) / len(times) * 1000, facts(settings, endpoints=endpoints, tools=(tool(times),), calls=len(times))


def short_and_long_calls(settings: Settings) -> tuple[float, PoolFacts]:
    """8 calls a second over three endpoints that do two calls at a time: one in ten takes 3 s, the others 20 ms."""
    rng = random.Random(9)
    servers = [Server(key, 0.0) for key in "abc"]
    chosen = STRATEGIES[settings["load_balancer.strategy"]](rng)
    free = [[0.0, 0.0] for _ in servers]  # when each place of each endpoint is free
    ends: list[tuple[float, int]] = []
    waits: list[float] = []
    short: list[float] = []
    long: list[float] = []
    for now in arrivals(8, rng):
        while ends and ends[0][0] <= now:
            servers[heapq.heappop(ends)[1]].active -= 1
        number = servers.index(chosen.pick(servers, now))
        servers[number].active += 1
        servers[number].attempts += 1
        slow = rng.random() < 0.1
        start = max(now, heapq.heappop(free[number]))
        end = start + (3.0 if slow else 0.02)
        heapq.heappush(free[number], end)
        heapq.heappush(ends, (end, number))
        waits.append(start - now)
        (long if slow else short).append(end - now)
    endpoints = tuple(EndpointFacts(each.key, True, each.attempts, 0.1) for each in servers)
    tools = (tool(short, "short"), tool(long, "long"))
    return sum(waits) / len(waits) * 1000, facts(settings, endpoints=endpoints, tools=tools, calls=len(waits))


def busy_sessions(settings: Settings) -> tuple[float, PoolFacts]:
    """Eight sessions of very different clients over four endpoints: the busiest endpoint's share, in percent."""
    rng, counts = random.Random(8), [0] * 4
    for _ in range(10_000):
        session = bisect([0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0], rng.random())
        counts[counts.index(min(counts)) if settings["sessions.stateless"] else session % 4] += 1
    found = tool([0.1] * 10_000, sampled=500, repeated=200, same=200, other_session=120)
    endpoints = tuple(EndpointFacts(str(number), True, count, 0.1) for number, count in enumerate(counts))
    more = {"endpoints": endpoints, "tools": (found,), "calls": 10_000, "server_sessions": True, "sessions": 8}
    return 100 * max(counts) / sum(counts), facts(settings, **more)


SCENES = (
    Scene(
        "uneven endpoints", "mean latency, ms",
        {"load_balancer.strategy": "round_robin"}, strategy, uneven_endpoints,
    ),
    Scene(
        "short and long calls", "mean wait, ms",
        {"load_balancer.strategy": "round_robin"}, strategy, short_and_long_calls,
    ),
    Scene("busy sessions", "largest share, %", {"sessions.stateless": False}, sessions, busy_sessions),
)  # fmt: skip
