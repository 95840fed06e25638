from __future__ import annotations

import pytest

from mcppool.policy.call_record import ALL_FAIL, FORGOTTEN, CallRecord


def test_a_pool_whose_last_calls_failed_and_none_was_answered_fails_all() -> None:
    calls = CallRecord()
    for n in range(ALL_FAIL):
        assert not calls.all_fail(float(n))
        calls.failed(float(n), "HTTP 500")
    assert calls.all_fail(10.0)
    assert (calls.failed_in_a_row, calls.why) == (ALL_FAIL, "HTTP 500")
    calls.answered(11.0)
    assert not calls.all_fail(11.0)


def test_after_a_while_without_calls_earlier_failures_do_not_count() -> None:
    calls = CallRecord()
    for _ in range(ALL_FAIL):
        calls.failed(0.0, "x")
    assert calls.all_fail(FORGOTTEN - 1)
    assert not calls.all_fail(FORGOTTEN)


def test_calls_count_in_the_rate_however_they_end() -> None:
    calls = CallRecord()
    for n in range(2000):
        (calls.answered if n % 2 else calls.failed)(n / 10, *([] if n % 2 else ["x"]))
    assert calls.per_second(200.0) == pytest.approx(10.0, rel=0.1)
    assert calls.per_second(400.0) < 0.1
    assert (calls.count, calls.failures) == (2000, 1000)
