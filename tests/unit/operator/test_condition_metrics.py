"""Conditions of pools as metrics: one series each, which ends with its pool."""

from __future__ import annotations

from typing import Any

from mcppool_operator import metrics
from mcppool_operator.condition_metrics import ConditionMetrics


def status(**conditions: str) -> dict[str, Any]:
    return {"conditions": [{"type": name, "status": value} for name, value in conditions.items()]}


def series(namespace: str) -> set[tuple[str, str, str]]:
    (family,) = metrics.POOL_CONDITION.collect()
    return {
        (sample.labels["name"], sample.labels["type"], sample.labels["status"])
        for sample in family.samples
        if sample.labels["namespace"] == namespace
    }


def pools(ready: str) -> float:
    return metrics.REGISTRY.get_sample_value("mcppool_operator_pools", {"ready": ready}) or 0


def test_a_condition_has_one_series_with_the_status_that_it_has_now() -> None:
    shown = ConditionMetrics()
    ready = pools("True")
    shown.show("one/search", status(Ready="False", Reconciling="True"))
    assert series("one") == {("search", "Ready", "False"), ("search", "Reconciling", "True")}
    shown.show("one/search", status(Ready="True"))
    assert series("one") == {("search", "Ready", "True")}
    assert pools("True") == ready + 1
    shown.forget("one/search")
    assert series("one") == set()
    assert pools("True") == ready
