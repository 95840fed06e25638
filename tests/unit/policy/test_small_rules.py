"""Slow start, panic, health checks, back-off, retry classes: rules of one line each, as tables."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.backoff import exponential, full_jitter
from mcppool.policy.error_class import ErrorClass
from mcppool.policy.health_check import HealthState
from mcppool.policy.panic import in_panic
from mcppool.policy.retry_class import IDEMPOTENT_METHODS, SAFE_METHODS, RetryClass, class_of_method, class_of_tool
from mcppool.policy.retry_wait import retry_wait
from mcppool.policy.slow_start import scaled_weight


@pytest.mark.parametrize(
    ("since", "window", "now", "weight"),
    [(None, 30.0, 50.0, 200.0), (50.0, 30.0, 50.0, 20.0), (50.0, 30.0, 52.9, 20.0), (50.0, 30.0, 56.0, 40.0),
     (50.0, 30.0, 65.0, 100.0), (50.0, 30.0, 80.0, 200.0), (50.0, 30.0, 500.0, 200.0), (50.0, 0.0, 50.0, 200.0)],
)  # fmt: skip
def test_a_weight_grows_from_a_tenth_to_the_whole_over_the_window(
    since: float | None, window: float, now: float, weight: float
) -> None:
    assert scaled_weight(200.0, since, window, now) == pytest.approx(weight)


@pytest.mark.parametrize(
    ("available", "total", "percent", "panic"),
    [(0, 0, 50, False), (0, 3, 50, True), (1, 3, 50, True), (2, 3, 50, False), (1, 2, 50, False), (0, 2, 0, False),
     (3, 3, 100, False), (2, 3, 100, True)],
)  # fmt: skip
def test_panic_is_when_less_than_the_share_is_available(available: int, total: int, percent: int, panic: bool) -> None:
    assert in_panic(available, total, percent) is panic


@pytest.mark.parametrize(
    ("checks", "changes", "healthy"),
    [("++", "", True), ("--", "", True), ("---", "3", False), ("--+--", "", True), ("----", "3", False),
     ("---+", "3", False), ("---++", "35", True), ("---+-+", "3", False), ("---+-++", "37", True)],
)  # fmt: skip
def test_rows_of_checks_change_the_state(checks: str, changes: str, healthy: bool) -> None:
    state = HealthState()
    changed = "".join(
        str(number)
        for number, check in enumerate(checks, 1)
        if state.record(check == "+", unhealthy_threshold=3, healthy_threshold=2)
    )
    assert (changed, state.healthy) == (changes, healthy)


@pytest.mark.parametrize(("attempt", "wait"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 10.0), (10_000, 10.0)])
def test_exponential_waits_double_up_to_the_cap(attempt: int, wait: float) -> None:
    assert exponential(attempt, 0.5, 10.0) == wait
    assert retry_wait("exponential", attempt, 0.5, 10.0) == wait


@pytest.mark.parametrize(("attempt", "wait"), [(1, 2.0), (2, 4.0), (3, 6.0), (50, 30.0)])
def test_linear_waits_grow_by_the_base_up_to_the_cap(attempt: int, wait: float) -> None:
    assert retry_wait("linear", attempt, 2.0, 30.0) == wait


def test_full_jitter_is_uniform_from_0_to_the_wait() -> None:
    rng = random.Random(5)
    waits = sorted(full_jitter(10.0, rng) for _ in range(4_000))
    assert 0.0 <= waits[0] < 0.1
    assert 9.9 < waits[-1] <= 10.0
    assert [waits[1_000], waits[2_000], waits[3_000]] == pytest.approx([2.5, 5.0, 7.5], abs=0.4)


@given(st.integers(1, 10**9), st.floats(0, 600), st.floats(0, 600))
def test_no_wait_is_longer_than_the_cap(attempt: int, base: float, cap: float) -> None:
    assert 0 <= exponential(attempt, base, cap) <= cap
    assert 0 <= retry_wait("linear", attempt, base, cap) <= cap


@pytest.mark.parametrize(
    "method", ["tools/list", "resources/read", "prompts/get", "server/discover", "tasks/get", "ping"]
)
def test_reads_are_safe(method: str) -> None:
    assert class_of_method(method) is RetryClass.SAFE


@pytest.mark.parametrize("method", ["tools/call", "something/new", "", None, "sampling/createMessage"])
def test_unknown_calls_are_unsafe(method: str | None) -> None:
    assert class_of_method(method) is RetryClass.UNSAFE


def test_no_method_is_in_two_classes() -> None:
    assert not SAFE_METHODS & IDEMPOTENT_METHODS
    assert {class_of_method(method) for method in IDEMPOTENT_METHODS} == {RetryClass.IDEMPOTENT}


@pytest.mark.parametrize("listed", [True, False, None])
@pytest.mark.parametrize("read_only", [True, False, None])
@pytest.mark.parametrize("idempotent", [True, False, None])
@pytest.mark.parametrize("trusted", [True, False])
def test_the_pools_list_wins_and_annotations_count_only_if_trusted(
    listed: bool | None, read_only: bool | None, idempotent: bool | None, trusted: bool
) -> None:
    found = class_of_tool(listed=listed, read_only=read_only, idempotent=idempotent, trusted=trusted)
    repeatable = listed if listed is not None else trusted and (read_only is True or idempotent is True)
    assert found is (RetryClass.IDEMPOTENT if repeatable else RetryClass.UNSAFE)


def test_the_classes_of_errors_have_the_founding_documents_names() -> None:
    assert [str(each) for each in ErrorClass] == ["retryable", "network", "timeout", "throttled", "non_retryable"]
