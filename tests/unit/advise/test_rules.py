"""Each rule of advice: the figures that lead to it, those that do not, and its proposal."""

from __future__ import annotations

from typing import Any

import pytest

from mcppool.advise.advice import Advice, tool_key, written
from mcppool.advise.balancing import strategy
from mcppool.advise.caching import caching
from mcppool.advise.connections import connections
from mcppool.advise.facts import EndpointFacts, PoolFacts, ToolFacts
from mcppool.advise.idempotence import idempotence
from mcppool.advise.limits import limits
from mcppool.advise.replicas import replicas
from mcppool.advise.retry_budget import retry_budget
from mcppool.advise.rules import MAX_ADVICE, advise
from mcppool.advise.sessions import sessions
from mcppool.advise.times import suspicion, time_outs

SETTINGS = {
    "connection_pool.min_connections": 5,
    "connection_pool.max_connections": 50,
    "timeouts.request": "5m",
    "retry_policy.budget_percent": 20,
    "load_balancer.strategy": "least_connections",
    "cache.type": "memory",
    "sessions.stateless": False,
}
LATE = {"timeout": 30}
IN_SESSIONS = {"sampled": 100, "repeated": 60, "seconds": 3.0, "same": 60, "in_session": 60}
TWO = (EndpointFacts("a", True, 500, 0.1), EndpointFacts("b", True, 500, 0.1))


def pool(settings: dict[str, Any] | None = None, **more: Any) -> PoolFacts:
    facts: dict[str, Any] = {"covered": 600.0, "endpoints": TWO, "calls": 10_000, **more}
    return PoolFacts("p", settings=SETTINGS | (settings or {}), **facts)


def tool(**facts: Any) -> ToolFacts:
    return ToolFacts("find", **{"calls": 1000, "p50": 0.05, "p95": 0.08, "p99": 0.1, **facts})


def changes(found: list[Advice]) -> dict[str, Any]:
    return {change.key: change.proposed for advice in found for change in advice.changes}


def test_a_quiet_pool_with_the_defaults_gets_no_advice() -> None:
    quiet = tool(sampled=100, annotation="read-only", repeatable=True)
    assert advise([pool(tools=(quiet,), in_flight=(4,) * 60, settings={"timeouts.request": "30s"})]) == []
    assert advise([PoolFacts("new")]) == []


@pytest.mark.parametrize(
    ("in_flight", "waiting", "settings", "expected"),
    [
        ((100,) * 60, (0,) * 59 + (20,), {}, {"connection_pool.max_connections": 120}),
        ((100,) * 60, (0,) * 60, {"connection_pool.min_connections": 50}, {}),
        ((20,) * 60, (5,) * 60, {"connection_pool.min_connections": 10}, {}),  # they wait for something else
        ((40,) * 60, (0,) * 60, {}, {"connection_pool.min_connections": 20}),
        ((10,) * 59 + (40,), (0,) * 60, {}, {}),  # a burst is no habit
        ((2,) * 60, (0,) * 60, {"connection_pool.min_connections": 20}, {"connection_pool.min_connections": 2}),
        ((2,) * 60, (0,) * 60, {}, {}),
    ],
)
def test_connections(in_flight: tuple[int, ...], waiting: tuple[int, ...], settings: Any, expected: Any) -> None:
    facts = pool(settings, in_flight=in_flight, waiting=waiting)
    assert changes([*connections(facts)]) == expected


@pytest.mark.parametrize(
    ("peak", "settings", "expected"),
    [
        (120, {}, {"connection_pool.max_connections": 120}),  # more calls than connections: 20 of them waited
        (100, {}, {}),
        (400, {"connection_pool.max_connections": 10}, {"connection_pool.max_connections": 40}),
    ],
)
def test_a_burst_between_the_ends_of_slots_shows_that_calls_waited(peak: int, settings: Any, expected: Any) -> None:
    facts = pool(settings, in_flight=(4,) * 60, peaks=(4,) * 59 + (peak,), waiting=(0,) * 60)
    assert changes([*connections(facts)]) == expected


SLOW_WHEN_BUSY = {"peaks": (4,) * 30 + (40,) * 30, "medians": (0.1,) * 30 + (0.9,) * 30}
AS_QUICK_WHEN_BUSY = {"peaks": (4,) * 30 + (40,) * 30, "medians": (0.1,) * 60}
REFUSED = {"overloaded": 30}


@pytest.mark.parametrize(
    ("settings", "figures", "reasons", "expected"),
    [
        ({}, SLOW_WHEN_BUSY, {}, {"limits.endpoint": "auto"}),
        ({"limits.endpoint.max_concurrent": "auto"}, SLOW_WHEN_BUSY, {}, {}),
        ({"limits.endpoint.max_concurrent": 90}, SLOW_WHEN_BUSY, {}, {}),
        ({}, AS_QUICK_WHEN_BUSY, {}, {}),
        ({}, {"peaks": (4,) * 30 + (7,) * 30, "medians": SLOW_WHEN_BUSY["medians"]}, {}, {}),  # as busy as ever
        ({}, {"peaks": (4, 40) * 5, "medians": (0.1, 0.9) * 5}, {}, {}),
        ({}, {"peaks": (4, 40) * 30, "medians": (None, 0.9) * 30}, {}, {}),
        ({"limits.pool.max_concurrent": 40}, AS_QUICK_WHEN_BUSY, REFUSED, {"limits.pool.max_concurrent": 80}),
        ({"limits.pool.max_concurrent": 40}, AS_QUICK_WHEN_BUSY, {"overloaded": 3}, {}),
        ({"limits.pool.max_concurrent": 50}, AS_QUICK_WHEN_BUSY, REFUSED, {}),  # it was never full
        (
            {"limits.pool.max_concurrent": 40, "limits.endpoint.max_concurrent": 40, "limits.endpoint.max_queue": 40},
            SLOW_WHEN_BUSY, REFUSED, {},
        ),
        (
            {"limits.endpoint.max_concurrent": 20, "limits.endpoint.max_queue": 0},
            {"peaks": (40,) * 60, "in_flight": (10,) * 60}, REFUSED, {"limits.endpoint.max_queue": 20},
        ),
        (
            {"limits.endpoint.max_concurrent": 20, "limits.endpoint.max_queue": 0},
            {"peaks": (40,) * 60, "in_flight": (38,) * 60}, REFUSED, {},  # replicas are missing
        ),
        (
            {"limits.endpoint.max_concurrent": 20, "limits.endpoint.max_queue": 20},
            {"peaks": (40,) * 60, "in_flight": (10,) * 60}, REFUSED, {},
        ),
    ],
)  # fmt: skip
def test_limits(settings: Any, figures: Any, reasons: Any, expected: Any) -> None:
    assert changes([*limits(pool(settings, tools=(tool(reasons=reasons),), **figures))]) == expected


@pytest.mark.parametrize(("hits", "advised"), [(0, True), (200, False)])
def test_times_of_calls_from_the_cache_are_not_taken_for_those_of_endpoints(hits: int, advised: bool) -> None:
    advice = [*limits(pool({}, tools=(tool(calls=1000, hits=hits),), **SLOW_WHEN_BUSY))]
    assert bool(advice) == advised


@pytest.mark.parametrize(
    ("suspect_after", "p99", "expected"),
    [
        ("500ms", 2.0, "auto"),
        ("60s", 0.1, "auto"),
        ("3s", 1.0, None),
        ("auto", 9.0, None),
        (None, 9.0, None),
    ],
)
def test_suspicion(suspect_after: str | None, p99: float, expected: str | None) -> None:
    key = "outlier_detection.suspect_after"
    found = changes([*suspicion(pool({key: suspect_after}, tools=(tool(p99=p99),)))])
    assert found == ({key: expected} if expected else {})


@pytest.mark.parametrize(
    ("settings", "figures", "expected"),
    [
        ({"timeouts.request": "10s"}, {"p95": 8.0, "p99": 10.0, "reasons": LATE}, {"tools.find.timeout": "30s"}),
        ({"tools.find.timeout": "1s"}, {"p95": 0.9, "p99": 1.0, "reasons": LATE}, {"tools.find.timeout": "3s"}),
        ({"timeouts.request": "10s"}, {"p95": 0.1, "p99": 10.0, "reasons": LATE}, {}),  # it hangs
        ({"timeouts.request": "10s"}, {"calls": 20, "p95": 8.0, "reasons": LATE}, {}),
        ({}, {"p99": 0.2}, {"timeouts.request": "10s"}),
        ({}, {"p99": 20.0}, {}),
    ],
)  # fmt: skip
def test_time_outs(settings: Any, figures: Any, expected: Any) -> None:
    assert changes([*time_outs(pool(settings, tools=(tool(**figures),)))]) == expected


@pytest.mark.parametrize(
    ("figures", "settings", "expected"),
    [
        ({"sampled": 100, "repeated": 60, "seconds": 3.0, "same": 60}, {}, {"tools.find.cache_ttl": "1m"}),
        (
            {"sampled": 100, "repeated": 60, "seconds": 3.0, "same": 60},
            {"cache.type": "none"},
            {"tools.find.cache_ttl": "1m", "cache.type": "memory"},
        ),
        ({"sampled": 100, "repeated": 60, "seconds": 3.0, "same": 59, "different": 1}, {}, {}),
        ({"sampled": 100, "repeated": 10, "seconds": 3.0, "same": 10}, {}, {}),
        ({"sampled": 10, "repeated": 9, "seconds": 3.0, "same": 9}, {}, {}),
        ({"sampled": 100, "repeated": 60, "seconds": 3.0, "same": 60, "annotation": "idempotent"}, {}, {}),  # it writes
        (IN_SESSIONS, {}, {}),  # the cache answers no call of a session
        (IN_SESSIONS, {"sessions.stateless": True}, {"tools.find.cache_ttl": "1m"}),
        ({**IN_SESSIONS, "in_session": 30}, {}, {"tools.find.cache_ttl": "1m"}),
        ({"cached": True, "hits": 1, "misses": 999}, {"tools.find.cache_ttl": "1m"}, {"tools.find.cache_ttl": None}),
        ({"cached": True, "hits": 500, "misses": 500}, {"tools.find.cache_ttl": "1m"}, {}),
    ],
)
def test_caching(figures: Any, settings: Any, expected: Any) -> None:
    known = {"annotation": "read-only", **figures}
    assert changes([*caching(pool(settings, tools=(tool(**known),)))]) == expected


@pytest.mark.parametrize(
    ("figures", "settings", "expected"),
    [
        ({"annotation": "read-only", "sampled": 9}, {}, {"tools.find.idempotent": True}),
        ({"annotation": "read-only", "sampled": 9, "repeatable": True}, {}, {}),
        ({"annotation": "read-only", "sampled": 9}, {"tools.find.idempotent": False}, {}),
        ({"sampled": 200, "same": 100}, {}, {"tools.find.idempotent": True}),
        ({"sampled": 200, "same": 100, "different": 1}, {}, {}),
        ({"sampled": 200, "same": 99}, {}, {}),
    ],
)
def test_idempotence(figures: Any, settings: Any, expected: Any) -> None:
    assert changes([*idempotence(pool(settings, tools=(tool(**figures),)))]) == expected


@pytest.mark.parametrize(
    ("chosen", "latencies", "p99", "expected"),
    [
        ("round_robin", (0.1, 0.3), 0.1, "response_time_based"),
        ("least_connections", (0.1, 0.3), 0.1, None),
        ("random", (0.1, 0.1), 2.0, "least_connections"),
        ("random", (0.1, 0.1), 0.2, None),
    ],
)
def test_strategy(chosen: str, latencies: tuple[float, float], p99: float, expected: str | None) -> None:
    endpoints = tuple(EndpointFacts(f"{at}", True, 500, latency) for at, latency in enumerate(latencies))
    facts = pool({"load_balancer.strategy": chosen}, endpoints=endpoints, tools=(tool(p99=p99),))
    assert changes([*strategy(facts)]) == ({"load_balancer.strategy": expected} if expected else {})


@pytest.mark.parametrize(
    ("budget", "retries", "empty", "calls", "expected"),
    [
        (20, 2000, 1000, 10_000, 39),
        (20, 2000, 9000, 10_000, 50),
        (20, 2000, 10, 10_000, None),
        (20, 20, 10, 100, None),
        (50, 0, 0, 10_000, 20),
        (20, 0, 0, 10_000, None),
    ],
)
def test_retry_budget(budget: int, retries: int, empty: int, calls: int, expected: int | None) -> None:
    key = "retry_policy.budget_percent"
    facts = pool({key: budget}, retries=retries, budget_empty=empty, calls=calls)
    assert changes([*retry_budget(facts)]) == ({key: expected} if expected else {})


@pytest.mark.parametrize(
    ("settings", "count", "in_flight", "expected"),
    [
        ({"limits.endpoint.max_concurrent": 10}, 2, 19, {"endpoints": 4}),
        ({"limits.endpoint.max_concurrent": 10}, 2, 10, {}),
        ({"limits.endpoint.max_concurrent": 10}, 6, 6, {"endpoints": 2}),
        ({"limits.endpoint.max_concurrent": 10, "replicas": 6}, 6, 6, {"replicas": 2}),
        ({"replicas": 8}, 8, 1, {"replicas": 2}),
        ({"replicas": 2}, 2, 0, {}),
        ({}, 8, 0, {}),
    ],
)
def test_replicas(settings: Any, count: int, in_flight: int, expected: Any) -> None:
    endpoints = tuple(EndpointFacts(str(at)) for at in range(count))
    assert changes([*replicas(pool(settings, endpoints=endpoints, in_flight=(in_flight,) * 60))]) == expected


@pytest.mark.parametrize(
    ("server_sessions", "other_session", "different", "stateless", "expected"),
    [
        (True, 60, 0, False, True),
        (False, 60, 0, False, False),
        (True, 40, 0, False, False),
        (True, 60, 1, False, False),
        (True, 60, 0, True, False),
    ],
)
def test_sessions(server_sessions: bool, other_session: int, different: int, stateless: bool, expected: bool) -> None:
    found = tool(sampled=100, other_session=other_session, different=different)
    facts = pool({"sessions.stateless": stateless}, tools=(found,), server_sessions=server_sessions, sessions=9)
    assert changes([*sessions(facts)]) == ({"sessions.stateless": True} if expected else {})


def test_a_pool_of_many_tools_gets_a_bounded_number_of_pieces_of_advice() -> None:
    many = tuple(ToolFacts(f"t{at}", annotation="read-only", sampled=9) for at in range(500))
    assert len(advise([pool(tools=many)])) == MAX_ADVICE


def test_every_piece_of_advice_has_its_figures_and_an_expectation() -> None:
    found = advise([
        pool(
            {"load_balancer.strategy": "round_robin", "outlier_detection.suspect_after": "10ms"},
            tools=(tool(sampled=200, repeated=150, seconds=7.0, same=150, p99=3.0),),
            retries=2000, budget_empty=1000, in_flight=(90,) * 60, waiting=(9,) * 60,
        )
    ])  # fmt: skip
    assert len({advice.rule for advice in found}) >= 6
    assert all(advice.why and advice.figures and advice.expect and advice.changes for advice in found)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0001, "1ms"), (0.25, "250ms"), (0.2503, "260ms"), (1.0, "1s"), (12.2, "13s"), (305.0, "5m10s"), (3600.0, "1h")],
)
def test_durations_are_written_as_in_a_file_and_rounded_up(seconds: float, text: str) -> None:
    assert written(seconds) == text


@pytest.mark.parametrize(("value", "p99"), [("305ms", 3.0), ("1m45s", 0.01), ("2h", 0.01)])
def test_values_in_force_are_shown_as_they_are(value: str, p99: float) -> None:
    (found,) = suspicion(pool({"outlier_detection.suspect_after": value}, tools=(tool(p99=p99),)))
    assert [change.now for change in found.changes] == [value]


def test_names_of_tools_that_are_no_bare_keys_are_quoted() -> None:
    assert tool_key("a.b", "timeout") == 'tools."a.b".timeout'
    assert tool_key("a-b_1", "timeout") == "tools.a-b_1.timeout"


def about(name: str) -> dict[str, Any]:
    """The changes that three rules propose for a tool that calls for all of them."""
    figures: dict[str, Any] = {"sampled": 200, "repeated": 160, "seconds": 3.0, "same": 160, "reasons": LATE}
    facts = pool({"timeouts.request": "10s"}, tools=(ToolFacts(name, calls=1000, p95=9.0, p99=9.5, **figures),))
    return changes([*caching(facts), *idempotence(facts), *time_outs(facts)])


def test_advice_is_about_tools_that_a_key_names_and_no_other_tool_with_them() -> None:
    assert set(about("a/b.c")) == {f'tools."a/b.c".{key}' for key in ("cache_ttl", "idempotent", "timeout")}
    for name in ("*", "find*", "日本語", 'say "hi"', "new\nline", "a b", "x" * 129, ""):
        assert about(name) == {}, name
