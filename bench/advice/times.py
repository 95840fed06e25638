"""Traces of the times of calls: suspicion and time-outs."""

from __future__ import annotations

import random

from bench.advice.scene import Scene, Server, Settings, arrivals, facts, seconds, tool
from mcppool.advise.facts import EndpointFacts, PoolFacts
from mcppool.advise.times import suspicion, time_outs
from mcppool.policy.balancing import STRATEGIES

HANGS_AT = 100.0


def _suspected_after(settings: Settings, p99: float) -> float:
    chosen = settings["outlier_detection.suspect_after"]
    return max(0.5, 2 * p99) if chosen == "auto" else seconds(chosen)


def ordinary_calls(settings: Settings) -> tuple[float, PoolFacts]:
    """A thousand calls of some 0.6 s, all of them well."""
    times = [random.Random(5 + number).lognormvariate(-0.5, 0.4) for number in range(1000)]
    found = tool(times)
    limit = _suspected_after(settings, found.p99 or 0.0)
    return sum(time > limit for time in times), facts(settings, tools=(found,), calls=len(times))


def hung_endpoint(settings: Settings) -> tuple[float, PoolFacts]:
    """40 calls a second of 50 ms over three endpoints, one of which hangs at last: the calls that it holds until it is
    suspected. The figures are those of the time before."""
    rng = random.Random(13)
    servers = [Server(key, 0.05) for key in "abc"]
    chosen = STRATEGIES["round_robin"](rng)
    times: list[float] = []
    held: list[float] = []
    for now in arrivals(40, rng):
        if now < HANGS_AT:
            times.append(rng.lognormvariate(-3.0, 0.3))
        elif chosen.pick(servers, now).key == "c":
            held.append(now)
    found = tool(times)
    noticed = held[0] + _suspected_after(settings, found.p99 or 0.0)
    endpoints = tuple(EndpointFacts(each.key) for each in servers)
    return sum(at < noticed for at in held), facts(settings, endpoints=endpoints, tools=(found,), calls=len(times))


def slow_calls(settings: Settings) -> tuple[float, PoolFacts]:
    """A thousand calls, some of which need longer than the time-out."""
    times = [random.Random(6 + number).lognormvariate(0.5, 0.5) for number in range(1000)]
    limit = seconds(settings.get("tools.find.timeout", settings["timeouts.request"]))
    cut = sum(time > limit for time in times)
    found = tool([min(time, limit) for time in times], reasons={"timeout": cut} if cut else {})
    return cut, facts(settings, tools=(found,), calls=len(times), failed=cut)


def hung_calls(settings: Settings) -> tuple[float, PoolFacts]:
    """Two thousand calls of some 0.1 s, and then one that hangs: how long its client waits for an error. A call that
    is cut although it would end counts as an hour."""
    times = [random.Random(7 + number).lognormvariate(-2.3, 0.4) for number in range(2000)]
    limit = seconds(settings["timeouts.request"])
    cut = sum(time > limit for time in times)
    return limit + 3600 * cut, facts(settings, tools=(tool(times),), calls=len(times))


SUSPECT = "outlier_detection.suspect_after"
SCENES = (
    Scene("ordinary calls", "needless checks", {SUSPECT: "1s"}, suspicion, ordinary_calls),
    Scene("an endpoint that hangs", "calls that it holds", {SUSPECT: "30s"}, suspicion, hung_endpoint),
    Scene("slow calls", "calls that are cut", {"timeouts.request": "4s"}, time_outs, slow_calls),
    Scene("a call that hangs", "seconds until its error", {"timeouts.request": "5m"}, time_outs, hung_calls),
)
