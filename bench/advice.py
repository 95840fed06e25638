"""`make bench-advice`: advice on replayed traces, and what it changes there.

Each scene replays a trace under a configuration, gives the observed figures to the rule, applies the proposed values,
and replays the same trace again. A scene that is not better afterwards fails.
"""

from __future__ import annotations

import heapq
import random
import sys
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from mcppool.advise.advice import Advice
from mcppool.advise.balancing import strategy
from mcppool.advise.caching import caching
from mcppool.advise.connections import connections
from mcppool.advise.facts import EndpointFacts, PoolFacts, ToolFacts
from mcppool.advise.idempotence import idempotence
from mcppool.advise.repetition import RepetitionSketch
from mcppool.advise.replicas import replicas
from mcppool.advise.retry_budget import retry_budget
from mcppool.advise.sessions import sessions
from mcppool.advise.times import suspicion, time_outs
from mcppool.policy.balancing import STRATEGIES
from mcppool.policy.peak_ewma import PeakEwma
from mcppool.policy.retry_budget import RetryBudget
from mcppool.policy.retry_decision import Retry, RetryFacts, RetryState, decide
from mcppool.spec.values import parse_duration

SECONDS = 300.0

Settings = dict[str, Any]
Replay = Callable[[Settings], tuple[float, PoolFacts]]


@dataclass(frozen=True)
class Scene:
    """A trace: `replay` returns the figure that should fall, and the facts that a gateway would have observed."""

    name: str
    figure: str
    settings: Settings
    rule: Callable[[PoolFacts], Iterator[Advice]]
    replay: Replay


@dataclass
class Server:
    """An endpoint with a fixed time for each call."""

    key: str
    time: float
    active: int = 0
    weight: float = 100.0
    full_weight: float = 100.0
    score: float = 1.0
    attempts: int = 0
    latency: PeakEwma = field(default_factory=PeakEwma)


def seconds(value: Any) -> float:
    return parse_duration(value) if isinstance(value, str) else float(value)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def facts(settings: Settings, **more: Any) -> PoolFacts:
    return PoolFacts("p", SECONDS, settings, **more)


def tool(times: list[float], **more: Any) -> ToolFacts:
    p50, p95, p99 = (percentile(times, share) for share in (0.5, 0.95, 0.99))
    return ToolFacts("find", len(times), p50=p50, p95=p95, p99=p99, **more)


def arrivals(rate: float, rng: random.Random) -> Iterator[float]:
    now = rng.expovariate(rate)
    while now < SECONDS:
        yield now
        now += rng.expovariate(rate)


def repeated_calls(settings: Settings) -> tuple[float, PoolFacts]:
    """Ten calls a second of 300 different ones, by Zipf's law; the server needs 0.1 s."""
    rng, sketch = random.Random(1), RepetitionSketch()
    weights = list(accumulate(1 / (k + 1) for k in range(300)))
    ttl = settings.get("tools.find.cache_ttl")
    kept: dict[int, float] = {}
    calls = at_server = 0
    for now in arrivals(10, rng):
        calls += 1
        key = bisect(weights, rng.random() * weights[-1])
        if ttl is not None and kept.get(key, -1.0) > now:
            continue
        kept[key] = now + seconds(ttl or 0)
        at_server += 1
        sketch.note("find", key, key, 0, 0.1, now)
    seen = sketch.tools["find"]
    found = tool(
        [0.1] * calls, annotation="read-only", sampled=seen.sampled, repeated=seen.repeated, seconds=seen.seconds,
        same=seen.same, different=seen.different, cached=ttl is not None,
    )  # fmt: skip
    return at_server, facts(settings, tools=(found,), calls=calls)


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


def failing_attempts(settings: Settings) -> tuple[float, PoolFacts]:
    """50 calls a second, a third of whose attempts fail."""
    rng, budget = random.Random(3), RetryBudget(settings["retry_policy.budget_percent"], 0)
    calls = retries = failed = 0
    for now in arrivals(50, rng):
        calls += 1
        budget.start(now)
        if rng.random() >= 0.33:
            continue
        if budget.pay(now):
            retries += 1
            failed += rng.random() < 0.33
        else:
            failed += 1
    return failed, facts(settings, calls=calls, failed=failed, retries=retries, budget_empty=budget.empty)


def few_connections(settings: Settings) -> tuple[float, PoolFacts]:
    """100 calls a second of 0.1 s at one endpoint, with bursts."""
    rng = random.Random(4)
    free = [0.0] * settings["connection_pool.max_connections"]
    heapq.heapify(free)
    begun: list[tuple[float, float, float]] = []
    for now in arrivals(100, rng):
        start = max(now, heapq.heappop(free))
        heapq.heappush(free, start + 0.1)
        begun.append((now, start, start + 0.1))
    slots = [10.0 * number for number in range(1, int(SECONDS / 10))]
    in_flight = tuple(sum(start <= at < end for _, start, end in begun) for at in slots)
    waiting = tuple(sum(came <= at < start for came, start, _ in begun) for at in slots)
    mean = sum(start - came for came, start, _ in begun) / len(begun) * 1000
    return mean, facts(
        settings, endpoints=(EndpointFacts("a"),), in_flight=in_flight, waiting=waiting, calls=len(begun)
    )


def ordinary_calls(settings: Settings) -> tuple[float, PoolFacts]:
    """A thousand calls of some 0.6 s, all of them well."""
    times = [random.Random(5 + number).lognormvariate(-0.5, 0.4) for number in range(1000)]
    found = tool(times)
    chosen = settings["outlier_detection.suspect_after"]
    limit = 2 * (found.p99 or 0.0) if chosen == "auto" else seconds(chosen)
    return sum(time > limit for time in times), facts(settings, tools=(found,), calls=len(times))


def slow_calls(settings: Settings) -> tuple[float, PoolFacts]:
    """A thousand calls, some of which need longer than the time-out."""
    times = [random.Random(6 + number).lognormvariate(0.5, 0.5) for number in range(1000)]
    limit = seconds(settings.get("tools.find.timeout", settings["timeouts.request"]))
    cut = sum(time > limit for time in times)
    found = tool([min(time, limit) for time in times], reasons={"timeout": cut} if cut else {})
    return cut, facts(settings, tools=(found,), calls=len(times), failed=cut)


def full_places(settings: Settings) -> tuple[float, PoolFacts]:
    """190 calls a second of 0.1 s at endpoints with ten places each; a call without a place is refused."""
    rng = random.Random(7)
    count = settings["endpoints"]
    places = count * settings["limits.endpoint.max_concurrent"]
    ends: list[float] = []
    refused = calls = 0
    slots, in_flight = 10.0, []
    for now in arrivals(190, rng):
        calls += 1
        while ends and ends[0] <= now:
            heapq.heappop(ends)
        if now >= slots:
            in_flight.append(len(ends))
            slots += 10.0
        if len(ends) < places:
            heapq.heappush(ends, now + 0.1)
        else:
            refused += 1
    endpoints = tuple(EndpointFacts(str(number)) for number in range(count))
    return refused, facts(settings, endpoints=endpoints, in_flight=tuple(in_flight), calls=calls, failed=refused)


def dying_replica(settings: Settings) -> tuple[float, PoolFacts]:
    """A thousand calls of an annotated tool that is not believed; the replica of every tenth one dies meanwhile."""
    repeatable = settings.get("tools.find.idempotent", False)
    failed = 0
    for _ in range(0, 1000, 10):
        state = RetryState()
        decision = decide(state, RetryFacts(True, not repeatable, False, 5, 300.0, others=True), 1.0)
        failed += not isinstance(decision, Retry)
    found = tool([0.1] * 1000, annotation="read-only", sampled=200, repeatable=repeatable)
    return failed, facts(settings, tools=(found,), calls=1000, failed=failed)


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
    Scene("repeated calls", "calls at the server", {"cache.type": "memory"}, caching, repeated_calls),
    Scene(
        "uneven endpoints", "mean latency, ms",
        {"load_balancer.strategy": "round_robin"}, strategy, uneven_endpoints,
    ),
    Scene("failing attempts", "failed calls", {"retry_policy.budget_percent": 20}, retry_budget, failing_attempts),
    Scene(
        "few connections", "mean wait, ms",
        {"connection_pool.max_connections": 10, "connection_pool.min_connections": 5}, connections, few_connections,
    ),
    Scene(
        "ordinary calls", "needless checks", {"outlier_detection.suspect_after": "1s"}, suspicion, ordinary_calls,
    ),
    Scene("slow calls", "calls that are cut", {"timeouts.request": "4s"}, time_outs, slow_calls),
    Scene(
        "full places", "refused calls", {"endpoints": 2, "limits.endpoint.max_concurrent": 10}, replicas, full_places,
    ),
    Scene("a dying replica", "failed calls", {"retry_policy.trust_annotations": False}, idempotence, dying_replica),
    Scene("busy sessions", "largest share, %", {"sessions.stateless": False}, sessions, busy_sessions),
)  # fmt: skip


def run(scene: Scene) -> tuple[float, float, Settings]:
    """The figure before and after the advice, and the proposed values. Raises ValueError if there is no advice."""
    before, observed = scene.replay(scene.settings)
    proposed = {change.key: change.proposed for advice in scene.rule(observed) for change in advice.changes}
    if not proposed:
        raise ValueError(f"no advice on {scene.name}")
    after, _ = scene.replay({**scene.settings, **proposed})
    return before, after, proposed


def main() -> int:
    print("| trace | advice | figure | before | after |")
    print("|---|---|---|---:|---:|")
    better = True
    for scene in SCENES:
        before, after, proposed = run(scene)
        said = ", ".join(f"`{key} = {value}`" for key, value in proposed.items())
        print(f"| {scene.name} | {said} | {scene.figure} | {before:,.0f} | {after:,.0f} |")
        better = better and after < before
    return 0 if better else 1


if __name__ == "__main__":
    sys.exit(main())
