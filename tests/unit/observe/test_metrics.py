"""The counters that the path of a call writes."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from mcppool.observe.collector import GatewayCollector
from mcppool.observe.histogram import Histogram
from mcppool.observe.labels import OTHER, TOOLS_CAP
from mcppool.observe.metrics import GatewayMetrics, PoolMetrics
from mcppool.observe.tool_stats import DURATION_BOUNDS, SIZE_BOUNDS
from mcppool.observe.views import ConfigView


def test_durations_have_the_founding_documents_twelve_buckets() -> None:
    assert len(DURATION_BOUNDS) == 12
    assert (DURATION_BOUNDS[0], DURATION_BOUNDS[-1]) == (0.001, 10.0)


def test_sizes_go_by_powers_of_four_from_256_bytes_to_16_mebibytes() -> None:
    assert (SIZE_BOUNDS[0], SIZE_BOUNDS[-1]) == (256, 16 * 1024 * 1024)
    assert all(larger == 4 * smaller for smaller, larger in itertools.pairwise(SIZE_BOUNDS))


def test_a_value_on_a_bound_belongs_to_the_bucket_that_ends_there() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (1.0, 1.5, 2.0, 2.5):
        histogram.observe(value)
    assert histogram.counts == [1, 2, 1]


@given(st.lists(st.floats(0, 100)))
def test_every_value_is_counted_in_exactly_the_bucket_that_holds_it(values: list[float]) -> None:
    histogram = Histogram(DURATION_BOUNDS)
    for value in values:
        histogram.observe(value)
    assert histogram.count == len(values)
    for index, bound in enumerate(DURATION_BOUNDS):
        assert sum(histogram.counts[: index + 1]) == sum(value <= bound for value in values)


def test_a_tool_that_the_catalog_does_not_list_is_counted_as_other() -> None:
    pool = PoolMetrics("search")
    pool.known_tools = frozenset({"find"})
    pool.tool("find").success += 1
    pool.tool("made-up-by-a-client").error += 1
    pool.tool("made-up-too").error += 1
    assert {name: (stats.success, stats.error) for name, stats in pool.tools()} == {"find": (1, 0), OTHER: (0, 2)}


def test_a_tool_keeps_its_counters_while_it_is_away_from_the_catalog() -> None:
    pool = PoolMetrics("search")
    pool.known_tools = frozenset({"find"})
    pool.tool("find").success += 1
    pool.known_tools = frozenset()
    pool.known_tools = frozenset({"find"})
    assert pool.tool("find").success == 1


def test_tools_of_former_catalogs_make_room_for_those_of_the_present_one() -> None:
    pool = PoolMetrics("search", tools_cap=2)
    pool.known_tools = frozenset({"a", "b"})
    pool.tool("a").success += 1
    pool.tool("b").success += 1
    pool.known_tools = frozenset({"b", "c", "d"})
    pool.tool("c").success += 1
    pool.tool("d").success += 1
    assert {name for name, _ in pool.tools()} == {"b", "c", OTHER}


def test_a_method_that_mcp_does_not_know_is_counted_as_other() -> None:
    pool = PoolMetrics("search")
    pool.request("tools/list", "success")
    pool.request("made/up", "error")
    pool.request("also/made/up", "error")
    assert pool.requests == {("tools/list", "success"): 1, (OTHER, "error"): 2}


def test_a_removed_pool_starts_from_scratch_when_it_returns() -> None:
    metrics = GatewayMetrics()
    metrics.pool("search").retry("network")
    assert metrics.pool("search").retries == {"network": 1}
    metrics.drop("search")
    assert metrics.pool("search").retries == {}


def test_cache_counters_outlive_their_pool_because_their_series_have_no_pool_label() -> None:
    gateway = GatewayMetrics()
    for name in ("a", "b"):
        counters = gateway.pool(name).cache("memory")
        counters.hit("tools/list")
        counters.evictions["size"] = 3
        gateway.drop(name)
    assert gateway.former_caches["memory"].hits == {"tools/list": 2}
    assert gateway.former_caches["memory"].evictions == {"size": 6}


def test_the_labels_of_a_cache_are_bounded_whatever_catalogs_come_and_go() -> None:
    counters = PoolMetrics("search").cache("memory")
    for number in range(2 * TOOLS_CAP):
        counters.hit(f"tool-{number}")
    assert len(counters.hits) == TOOLS_CAP + 1
    assert counters.hits[OTHER] == TOOLS_CAP


def test_a_pool_whose_cache_type_changed_has_one_series_with_its_label() -> None:
    gateway = GatewayMetrics()
    for number, type in enumerate(("memory", "redis"), 1):
        gateway.pool("search").cache(type).coalesced = number
    families = GatewayCollector(gateway, list, ConfigView).collect()
    (family,) = (family for family in families if family.name == "mcppool_cache_coalesced")
    assert [(sample.labels, sample.value) for sample in family.samples] == [({"pool": "search"}, 3)]
