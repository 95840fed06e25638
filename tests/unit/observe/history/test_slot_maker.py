"""Slots are the differences of the counters."""

from __future__ import annotations

from typing import Any

from mcppool.observe.history.slot_maker import SlotMaker
from mcppool.observe.history.slots import POOL_COUNTS, TOOL_COUNTS, PoolSlot, ToolSlot
from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.views import EndpointView, PoolView

URL = "http://127.0.0.1:8001/mcp"


def counts(slot: ToolSlot | PoolSlot) -> dict[str, Any]:
    """The counts by their names, without the buckets."""
    names = TOOL_COUNTS if isinstance(slot, ToolSlot) else POOL_COUNTS
    return dict(zip(names, slot.counts, strict=False))


def made() -> PoolMetrics:
    metrics = PoolMetrics("search")
    metrics.known_tools = frozenset({"find", "fetch"})
    return metrics


def test_a_slot_has_what_was_counted_since_the_last_one() -> None:
    metrics, maker = made(), SlotMaker(1000.0)
    find = metrics.tool("find")
    find.success, find.error, find.retries = 3, 1, 2
    find.fail("timeout")
    metrics.cache("memory").hit("find")
    metrics.modern = 4
    view = PoolView("search", (EndpointView(URL, True, requests=5, failures=1, latency=0.1),), calls=4, failed_calls=1)
    first = maker.take([(metrics, view)], 1010.01)
    assert (first.number, round(first.seconds)) == (100, 10)
    find.success += 2
    find.fail("timeout")
    find.fail("no_endpoint")
    second = maker.take([(metrics, view)], 1019.99)
    assert second.number == 101
    assert counts(first.pools["search"].tools["find"]) == {
        "success": 3, "tool_error": 0, "error": 1, "rejected": 0, "retries": 2, "cache_hits": 1, "cache_misses": 0,
    }  # fmt: skip
    assert first.pools["search"].tools["find"].reasons == {"timeout": 1}
    assert counts(first.pools["search"])["modern"] == 4
    assert counts(second.pools["search"].tools["find"])["success"] == 2
    assert second.pools["search"].tools["find"].reasons == {"timeout": 1, "no_endpoint": 1}
    assert counts(second.pools["search"])["calls"] == 0
    assert [slot.pools["search"].endpoints[URL].attempts for slot in (first, second)] == [5, 0]


def test_a_tool_without_calls_is_left_out_unless_its_breaker_is_open() -> None:
    metrics, maker = made(), SlotMaker(1000.0)
    metrics.tool("find").success = 1
    maker.take([(metrics, PoolView("search"))], 1010.0)
    assert maker.take([(metrics, PoolView("search"))], 1020.0).pools["search"].tools == {}
    broken = maker.take([(metrics, PoolView("search", breakers={"fetch": 2}))], 1030.0).pools["search"].tools
    assert {name: slot.breaker for name, slot in broken.items()} == {"fetch": 2}


def test_counters_that_begin_anew_are_counted_from_zero() -> None:
    metrics, maker = made(), SlotMaker(1000.0)
    metrics.tool("find").success = 50
    old = PoolView("search", (EndpointView(URL, True, requests=50),), calls=50)
    maker.take([(metrics, old)], 1010.0)
    fresh = made()
    fresh.tool("find").success = 2
    new = PoolView("search", (EndpointView(URL, True, requests=3),), calls=2)
    slot = maker.take([(fresh, new)], 1020.0).pools["search"]
    assert counts(slot)["calls"] == 2
    assert counts(slot.tools["find"])["success"] == 2
    assert slot.endpoints[URL].attempts == 3


def test_a_late_slot_says_how_long_it_was() -> None:
    maker = SlotMaker(1000.0)
    slot = maker.take([], 1026.0)
    assert (slot.number, slot.seconds) == (101, 26.0)


def test_the_end_of_the_process_ends_the_slot_that_runs() -> None:
    assert SlotMaker(1000.0).take([], 1013.0, early=True).number == 101


def test_an_address_that_comes_back_while_it_drains_is_one_endpoint() -> None:
    view = PoolView(
        "search", (EndpointView(URL, True, requests=1), EndpointView(URL, False, draining=True, requests=9))
    )
    assert SlotMaker(1000.0).take([(made(), view)], 1010.0).pools["search"].endpoints[URL].attempts == 1


def test_a_burst_between_two_looks_is_in_its_slot_and_not_in_the_next() -> None:
    metrics, maker = made(), SlotMaker(1000.0)
    metrics.in_flight, metrics.peak_in_flight = 1, 9
    view = PoolView("search", (EndpointView(URL, True, active_requests=1),), budget_empty=3)
    first, second = (counts(maker.take([(metrics, view)], at).pools["search"]) for at in (1010.0, 1020.0))
    assert (first["in_flight"], first["peak_in_flight"], first["budget_empty"]) == (1, 9, 3)
    assert (second["in_flight"], second["peak_in_flight"], second["budget_empty"]) == (1, 1, 0)
