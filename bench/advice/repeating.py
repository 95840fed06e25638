"""Traces of repeated calls: tools to cache, and tools to repeat after a failure."""

from __future__ import annotations

import random
from bisect import bisect
from collections import OrderedDict
from itertools import accumulate

from bench.advice.scene import SECONDS, Scene, Settings, arrivals, facts, seconds, tool
from mcppool.advise.caching import caching
from mcppool.advise.facts import PoolFacts
from mcppool.advise.idempotence import idempotence
from mcppool.advise.repetition import RepetitionSketch
from mcppool.policy.retry_decision import Retry, RetryFacts, RetryState, decide

ZIPF = list(accumulate(1 / (k + 1) for k in range(300)))
"""Weights of 300 different calls by Zipf's law, summed up."""


def drawn(rng: random.Random) -> int:
    """One of these calls."""
    return bisect(ZIPF, rng.random() * ZIPF[-1])


def repeated_calls(settings: Settings) -> tuple[float, PoolFacts]:
    """Ten calls a second of 300 different ones, by Zipf's law; the server needs 0.1 s."""
    rng, sketch = random.Random(1), RepetitionSketch()
    ttl = settings.get("tools.find.cache_ttl")
    kept: dict[int, float] = {}
    calls = at_server = 0
    for now in arrivals(10, rng):
        calls += 1
        key = drawn(rng)
        if ttl is not None and kept.get(key, -1.0) > now:
            continue
        kept[key] = now + seconds(ttl or 0)
        at_server += 1
        sketch.note("find", key, key, 0, 0.1, now)
    seen = sketch.counts(SECONDS)["find"]
    found = tool(
        [0.1] * calls, annotation="read-only", sampled=seen.sampled, repeated=seen.repeated, seconds=seen.seconds,
        same=seen.same, different=seen.different, cached=ttl is not None,
    )  # fmt: skip
    return at_server, facts(settings, tools=(found,), calls=calls)


def crowded_cache(settings: Settings) -> tuple[float, PoolFacts]:
    """A cache with room for 100 answers. 20 calls a second of `find` are all different, 10 of `get` are repeated."""
    rng = random.Random(10)
    lives = {name: seconds(settings.get(f"tools.{name}.cache_ttl") or 0) for name in ("find", "get")}
    kept: OrderedDict[tuple[str, int], float] = OrderedDict()
    calls, hits, misses = ({"find": 0, "get": 0} for _ in range(3))
    for number, now in enumerate(arrivals(30, rng)):
        name = "get" if rng.random() < 1 / 3 else "find"
        key = (name, drawn(rng) if name == "get" else number)
        calls[name] += 1
        if not lives[name]:
            continue
        if kept.get(key, -1.0) > now:
            hits[name] += 1
            kept.move_to_end(key)
            continue
        misses[name] += 1
        kept[key] = now + lives[name]
        kept.move_to_end(key)
        if len(kept) > settings["cache.max_size"]:
            kept.popitem(last=False)
    tools = tuple(
        tool([0.1] * calls[name], name, cached=bool(lives[name]), hits=hits[name], misses=misses[name])
        for name in lives
    )
    return misses["get"], facts(settings, tools=tools, calls=sum(calls.values()))


def dying_replica(settings: Settings, *, annotated: bool = True) -> tuple[float, PoolFacts]:
    """A thousand calls of a tool that is not known to be repeatable; the replica of every tenth one dies meanwhile."""
    rng, sketch = random.Random(11), RepetitionSketch()
    repeatable = settings.get("tools.find.idempotent", False)
    failed = 0
    for number in range(1000):
        if number % 10:
            key = drawn(rng)
            sketch.note("find", key, key, 0, 0.1, 0.1 * number)
            continue
        decision = decide(RetryState(), RetryFacts(True, not repeatable, False, 5, 300.0, others=True), 1.0)
        failed += not isinstance(decision, Retry)
    seen = sketch.counts(100.0)["find"]
    found = tool(
        [0.1] * 1000, annotation="read-only" if annotated else "", sampled=seen.sampled, repeatable=repeatable,
        same=seen.same, different=seen.different,
    )  # fmt: skip
    return failed, facts(settings, tools=(found,), calls=1000, failed=failed)


def dying_replica_of_a_silent_server(settings: Settings) -> tuple[float, PoolFacts]:
    """The same with a server that annotates nothing, and whose results never differ."""
    return dying_replica(settings, annotated=False)


SCENES = (
    Scene("repeated calls", "calls at the server", {"cache.type": "memory"}, caching, repeated_calls),
    Scene(
        "a crowded cache", "misses of the other tool",
        {"cache.max_size": 100, "tools.find.cache_ttl": "1m", "tools.get.cache_ttl": "1m"}, caching, crowded_cache,
    ),
    Scene("a dying replica", "failed calls", {"retry_policy.trust_annotations": False}, idempotence, dying_replica),
    Scene("the same without annotations", "failed calls", {}, idempotence, dying_replica_of_a_silent_server),
)  # fmt: skip
