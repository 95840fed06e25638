"""A pool's condition about its HorizontalPodAutoscalers."""

from __future__ import annotations

from typing import Any

import pytest

from mcppool_operator.autoscaling import autoscaled


def autoscaler(**conditions: tuple[str, str, str]) -> dict[str, Any]:
    listed = [
        {"type": kind, "status": status, "reason": reason, "message": message}
        for kind, (status, reason, message) in conditions.items()
    ]
    metadata = {"name": "search-mcp-gateway"}
    return {"metadata": metadata, "spec": {"maxReplicas": 5}, "status": {"conditions": listed}}


WELL = {"AbleToScale": ("True", "ReadyForNewScale", ""), "ScalingActive": ("True", "ValidMetricFound", "")}
NO_METRICS = ("False", "FailedGetResourceMetric", "no metrics returned")


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (None, ("Unknown", "Pending")),
        (autoscaler(), ("Unknown", "Pending")),
        (autoscaler(**WELL), ("True", "Autoscaled")),
        (autoscaler(**WELL, ScalingLimited=("True", "TooManyReplicas", "")), ("True", "AtMaximum")),
        (autoscaler(**WELL, ScalingLimited=("True", "TooFewReplicas", "")), ("True", "Autoscaled")),
        (autoscaler(**{**WELL, "ScalingActive": NO_METRICS}), ("False", "FailedGetResourceMetric")),
        (autoscaler(AbleToScale=("False", "FailedGetScale", "not found")), ("False", "FailedGetScale")),
    ],
)
def test_a_pool_reports_whether_it_is_scaled(found: Any, verdict: tuple[str, str]) -> None:
    told = autoscaled([found])
    assert told is not None
    assert (told.type, told.status, told.reason) == ("Autoscaled", *verdict)


def test_the_worst_of_several_autoscalers_is_reported_and_without_any_there_is_no_condition() -> None:
    told = autoscaled([autoscaler(**WELL), autoscaler(**{**WELL, "ScalingActive": NO_METRICS}), None])
    assert told is not None
    assert told.message == 'HorizontalPodAutoscaler "search-mcp-gateway" does not scale: no metrics returned'
    assert autoscaled([]) is None
