"""Traces of load and failures: the retry budget, the number of replicas, limits."""

from __future__ import annotations

import heapq
import random
from collections import deque
from statistics import median

from bench.advice.scene import SECONDS, SLOT, InFlight, Scene, Settings, arrivals, facts, tool
from mcppool.advise.facts import EndpointFacts, PoolFacts
from mcppool.advise.limits import limits
from mcppool.advise.replicas import replicas
from mcppool.advise.retry_budget import retry_budget
from mcppool.policy.concurrency_limit import AdaptiveLimit
from mcppool.policy.retry_budget import RetryBudget

BUDGET, PLACES, QUEUE = "retry_policy.budget_percent", "limits.endpoint.max_concurrent", "limits.endpoint.max_queue"


def failing_attempts(settings: Settings) -> tuple[float, PoolFacts]:
    """50 calls a second, a third of whose attempts fail."""
    rng, budget = random.Random(3), RetryBudget(settings[BUDGET], 0)
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


def outage(settings: Settings) -> tuple[float, PoolFacts]:
    """50 calls a second; in the last 100 seconds all attempts fail: the retries, which are a load of their own. The
    figures are those of the time before."""
    rng, budget = random.Random(14), RetryBudget(settings[BUDGET], 0)
    calls = retries = 0
    for now in arrivals(50, rng):
        budget.start(now)
        if now < SECONDS - 100.0:
            calls += 1
            continue
        for _ in range(3):
            if not budget.pay(now):
                break
            retries += 1
    return retries, facts(settings, calls=calls)


def at_places(rate: float, seed: int, settings: Settings) -> tuple[int, PoolFacts]:
    """So many calls a second of 0.1 s at endpoints with a limit: the calls that find no place and are refused."""
    rng, counted = random.Random(seed), InFlight()
    count = settings["endpoints"]
    refused = calls = 0
    for now in arrivals(rate, rng):
        calls += 1
        if counted.forget(now) < count * settings[PLACES]:
            counted.begin(now, now + 0.1)
        else:
            refused += 1
    endpoints = tuple(EndpointFacts(str(number)) for number in range(count))
    return refused, facts(settings, endpoints=endpoints, calls=calls, failed=refused, **counted.facts())


def full_places(settings: Settings) -> tuple[float, PoolFacts]:
    """190 calls a second: refused ones."""
    return at_places(190, 7, settings)


def empty_places(settings: Settings) -> tuple[float, PoolFacts]:
    """20 calls a second: the replicas to pay for; a refused call counts as a hundred."""
    refused, observed = at_places(20, 15, settings)
    return settings["endpoints"] + 100 * refused, observed


def idle_processes(settings: Settings) -> tuple[float, PoolFacts]:
    """Three calls a second of 0.1 s at a local server: its processes; a call that waits for one counts as ten."""
    rng, counted = random.Random(16), InFlight()
    count = settings["replicas"]
    late = calls = 0
    for now in arrivals(3, rng):
        calls += 1
        late += counted.forget(now) >= count
        counted.begin(now, now + 0.1)
    endpoints = tuple(EndpointFacts(str(number)) for number in range(count))
    return count + 10 * late, facts(settings, endpoints=endpoints, calls=calls, **counted.facts())


def bursts_at_full_places(settings: Settings) -> tuple[float, PoolFacts]:
    """Ten calls a second and, every five seconds, 30 at once, at two endpoints with ten places each: refused calls."""
    rng, counted = random.Random(17), InFlight()
    places = 2 * settings[PLACES]
    queue = 2 * settings[QUEUE]
    times = sorted([*arrivals(10, rng), *(5.0 * burst + 2.0 for burst in range(int(SECONDS / 5)) for _ in range(30))])
    free = [0.0] * places
    starts: deque[float] = deque()  # of calls that wait
    refused, lasting = 0, []
    for now in times:
        while starts and starts[0] <= now:
            starts.popleft()
        counted.forget(now)
        start = max(now, free[0])
        if start > now and len(starts) >= queue:
            refused += 1
            continue
        if start > now:
            starts.append(start)
        heapq.heapreplace(free, start + 0.1)
        if start == now:
            counted.begin(now, now + 0.1)
        lasting.append(start + 0.1 - now)
    counted.forget(SECONDS)
    found = tool(lasting, reasons={"overloaded": refused} if refused else {})
    endpoints = (EndpointFacts("a"), EndpointFacts("b"))
    return refused, facts(settings, endpoints=endpoints, tools=(found,), calls=len(times), **counted.facts())


def tight_pool(settings: Settings) -> tuple[float, PoolFacts]:
    """5 to 30 calls a second of 0.5 s, at servers that are quick under any load, with a limit of the pool."""
    rng, counted = random.Random(18), InFlight()
    refused = calls = 0
    for now in arrivals(lambda at: 30 if at % 60 < 20 else 5, rng):
        calls += 1
        if counted.forget(now) < settings["limits.pool.max_concurrent"]:
            counted.begin(now, now + 0.5)
        else:
            refused += 1
    counted.forget(SECONDS)
    found = tool([0.5] * calls, reasons={"overloaded": refused} if refused else {})
    medians = (0.5,) * len(counted.peaks)
    return refused, facts(
        settings, endpoints=(EndpointFacts("a"),), tools=(found,), calls=calls, medians=medians, **counted.facts()
    )


def crowded_endpoint(settings: Settings) -> tuple[float, PoolFacts]:
    """An endpoint that serves eight calls at a time in 50 ms each, and all of them more slowly the more it has. 40
    calls a second, and 170 for ten seconds of each minute: the 99th percentile of the answered calls, in ms."""
    rng, counted = random.Random(19), InFlight()
    limit = AdaptiveLimit() if settings.get("limits.endpoint") == "auto" else None
    waiting: deque[float] = deque()
    ends: list[tuple[float, float, int, float]] = []  # end, start, in flight then, arrival
    lasted: list[tuple[float, float]] = []  # time of the answer, time of the call

    def start(since: float, now: float) -> None:
        crowd = len(ends) + 1
        end = now + 0.05 * max(1.0, crowd / 8) ** 1.2
        heapq.heappush(ends, (end, now, crowd, since))
        counted.begin(now, end)

    def finish(until: float) -> None:
        while ends and ends[0][0] <= until:
            end, began, crowd, since = heapq.heappop(ends)
            lasted.append((end, end - since))
            if limit is not None:
                limit.answered("find", end - began, crowd, end)
                while waiting and len(ends) < limit.places:
                    start(waiting.popleft(), end)

    calls = refused = 0
    for now in arrivals(lambda at: 170 if at % 60 < 10 else 40, rng):
        finish(now)
        calls += 1
        if limit is None or len(ends) < limit.places:
            start(now, now)
        elif len(waiting) < 50:
            waiting.append(now)
        else:
            refused += 1
    finish(float("inf"))
    counted.forget(SECONDS)
    times = [time for _, time in lasted]
    medians = tuple(_median([time for at, time in lasted if slot <= at / SLOT < slot + 1]) for slot in range(30))
    found = tool(times, reasons={"overloaded": refused} if refused else {})
    observed = facts(
        settings, endpoints=(EndpointFacts("a"),), tools=(found,), calls=calls, medians=medians, **counted.facts()
    )
    return 1000 * (found.p99 or 0.0), observed


def _median(times: list[float]) -> float | None:
    return median(times) if times else None


SCENES = (
    Scene("failing attempts", "failed calls", {BUDGET: 20}, retry_budget, failing_attempts),
    Scene("an outage", "retries", {BUDGET: 80}, retry_budget, outage),
    Scene("full places", "refused calls", {"endpoints": 2, PLACES: 10}, replicas, full_places),
    Scene("empty places", "replicas", {"endpoints": 8, PLACES: 10}, replicas, empty_places),
    Scene("idle processes", "processes", {"replicas": 16}, replicas, idle_processes),
    Scene("bursts at full places", "refused calls", {PLACES: 10, QUEUE: 0}, limits, bursts_at_full_places),
    Scene("a tight pool", "refused calls", {"limits.pool.max_concurrent": 10}, limits, tight_pool),
    Scene("a crowded endpoint", "p99, ms", {}, limits, crowded_endpoint),
)
