"""CPU and memory of gateways: for any values of a pool, the API server accepts the result."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from mcppool.spec.sections.quantity import amount
from mcppool.spec.sections.resources import ResourcesSpec
from mcppool_operator.children.resources import requirements

REQUESTS, LIMITS = {"cpu": "100m", "memory": "128Mi"}, {"memory": "512Mi"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, {"requests": REQUESTS, "limits": LIMITS}),
        (
            {"limits": {"memory": "64Mi", "cpu": "50m"}},
            {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "64Mi", "cpu": "50m"}},
        ),
        ({"requests": {"memory": "1Gi"}}, {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}),
        (
            {"requests": {"memory": 1000}, "limits": {"memory": "2k"}},
            {"requests": {"cpu": "100m", "memory": 1000}, "limits": {"memory": "2k"}},
        ),
    ],
)
def test_a_request_or_limit_of_the_pool_adjusts_our_default_of_the_other(
    said: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert requirements(REQUESTS, LIMITS, ResourcesSpec(**said), None) == expected


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("100m", "0.1"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("2e3", "2000"),
        ("1E", "1e18"),
        (7, "7"),
        ("5n", "5e-9"),
    ],
)
def test_quantities_have_kubernetes_meaning(quantity: Any, number: str) -> None:
    assert amount(quantity) == Decimal(number)
