from __future__ import annotations

from typing import Any

import pytest

from mcppool_operator.deletion_cost import changes, coarse, costs
from mcppool_operator.pods import DELETION_COST, Pod


def server(name: str, address: str, cost: str | None = None, **metadata: Any) -> Pod:
    annotations = {"annotations": {DELETION_COST: cost}} if cost is not None else {}
    return Pod.of({"metadata": {"name": name, **annotations, **metadata}, "status": {"podIP": address}})


@pytest.mark.parametrize(
    ("count", "written"), [(0, 0), (1, 1), (8, 8), (9, 8), (10, 10), (31, 28), (100, 96), (111, 96), (112, 112)]
)
def test_a_small_number_is_written_as_it_is_and_a_large_one_coarsely(count: int, written: int) -> None:
    assert coarse(count) == written


def test_coarse_numbers_keep_their_order_and_stay_within_kubernetes_limits() -> None:
    found = [coarse(count) for count in range(5000)]
    assert found == sorted(found)
    assert all(count * 3 / 4 <= kept <= count for count, kept in enumerate(found))
    assert coarse(2**40) <= 2**31 - 1


def test_sessions_and_calls_are_added_up_over_the_gateways() -> None:
    one = {"pools": {"search": {"http://10.0.0.1:8000/mcp": {"sessions": 2, "inFlight": 1}}}}
    two = {"pools": {"search": {"http://10.0.0.1:8000/mcp": {"sessions": 3}, "http://[fd00::2]:80/": {"sessions": 4}}}}
    assert costs("search", [one, two]) == {"10.0.0.1": 6, "fd00::2": 4}
    assert costs("other", [one, two]) == {}


@pytest.mark.parametrize("pools", [[], {"search": 3}, {"search": {"x": 1}}, {"search": {"x": {"sessions": "2"}}}])
def test_an_answer_of_another_shape_counts_for_nothing(pools: Any) -> None:
    assert sum(costs("search", [{"pools": pools}, {}]).values()) == 0


def test_only_changed_annotations_are_written() -> None:
    pods = [
        server("new", "10.0.0.1"),
        server("idle", "10.0.0.2"),
        server("same", "10.0.0.3", "3"),
        server("less", "10.0.0.4", "7"),
        server("going", "10.0.0.5", deletionTimestamp="2026-01-01T00:00:00Z"),
    ]
    counts = {"10.0.0.1": 2, "10.0.0.3": 3, "10.0.0.5": 9}
    assert [(pod.name, cost) for pod, cost in changes(pods, counts)] == [("new", 2), ("less", 0)]
