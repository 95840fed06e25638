"""The share of failing calls of clients, from the counts of a pool's gateways."""

from __future__ import annotations

from typing import Any

import pytest

from mcppool_operator.client_errors import ENOUGH, MAX_WINDOW, ClientErrors, sessions


def says(calls: int, failed: int = 0, reason: str = "") -> dict[str, Any]:
    clients = {"calls": calls, "failedCalls": failed, "lastFailure": reason, "sessions": 3}
    return {"clients": {"search": clients}}


def test_a_share_over_all_gateways_is_reported_in_coarse_steps_with_a_reason() -> None:
    errors = ClientErrors()
    assert errors.take("k", "search", {"a": says(1000, 900), "b": says(5)}, 0) is None, "of before is not counted"
    told = errors.take("k", "search", {"a": says(1010, 904, "no_endpoint: why"), "b": says(25)}, 60)
    assert told == "more than 10% of the calls of clients fail, the last one by no_endpoint"
    assert errors.take("k", "search", {"a": says(1020, 908), "b": says(45)}, 120) is not None
    assert errors.take("k", "search", {"a": says(1100, 908), "b": says(45)}, 180) is None


def test_a_few_failures_are_no_share() -> None:
    errors = ClientErrors()
    errors.take("k", "search", {"a": says(0)}, 0)
    assert errors.take("k", "search", {"a": says(1000, 40)}, 60) is None


def test_too_few_calls_are_added_up_until_they_mean_something_and_then_forgotten() -> None:
    errors = ClientErrors()
    errors.take("k", "search", {"a": says(0)}, 0)
    assert errors.take("k", "search", {"a": says(ENOUGH - 1, ENOUGH - 1)}, 60) is None
    assert errors.take("k", "search", {"a": says(ENOUGH, ENOUGH)}, 120) == "more than 75% of the calls of clients fail"
    assert errors.take("k", "search", {"a": says(ENOUGH + 1, ENOUGH + 1)}, 180) is not None, "nothing newer is known"
    assert errors.take("k", "search", {"a": says(ENOUGH + 1, ENOUGH + 1)}, 180 + MAX_WINDOW) is None


def test_a_restarted_gateway_counts_from_zero() -> None:
    errors = ClientErrors()
    errors.take("k", "search", {"a": says(1000)}, 0)
    assert errors.take("k", "search", {"a": says(30, 30)}, 60) is not None


@pytest.mark.parametrize(
    "answer", [{}, {"clients": 3}, {"clients": {"search": []}}, {"clients": {"search": {"calls": "x"}}}]
)
def test_an_answer_of_another_shape_counts_for_nothing(answer: dict[str, Any]) -> None:
    errors = ClientErrors()
    for now in (0, 60):
        assert errors.take("k", "search", {"a": answer}, now) is None
    assert sessions("search", {"a": answer, "b": says(1)}) == 3
