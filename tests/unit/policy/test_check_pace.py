"""A check may take as long as a server usually needs for one."""

from __future__ import annotations

import pytest

from mcppool.policy.check_pace import MARGIN, CheckPace


@pytest.mark.parametrize(
    ("took", "patience"),
    [
        pytest.param((), 2.0, id="nothing-known"),
        pytest.param((0.01,), 2.0, id="quick"),
        pytest.param((1.5,), 1.5 * MARGIN, id="nearly-too-slow"),
        pytest.param((3.0,), 3.0 * MARGIN, id="slow-once-and-never-quick"),
        pytest.param((3.0, 4.0), 3.0 * MARGIN, id="slow"),
        pytest.param((20.0, 0.01), 2.0, id="slow-start"),
        pytest.param((0.01, 20.0), 2.0, id="slow-moment"),
        pytest.param((0.01, 4.0, 4.0), 4.0 * MARGIN, id="has-become-slow"),
        pytest.param((100.0, 100.0), 30.0, id="never-more-than-first-contact"),
    ],
)
def test_a_check_may_take_twice_as_long_as_earlier_ones(took: tuple[float, ...], patience: float) -> None:
    pace = CheckPace()
    for seconds in took:
        pace.answered(seconds)
    assert pace.patience(2.0, 30.0) == patience


def test_an_answer_that_was_waited_for_is_believed_until_a_quick_one_comes() -> None:
    pace = CheckPace()
    pace.answered(0.01)
    pace.answered(4.0)
    pace.believe()
    assert pace.patience(2.0, 30.0) == 4.0 * MARGIN
    pace.answered(0.01)
    assert pace.patience(2.0, 30.0) == 2.0


def test_a_configured_timeout_is_never_cut() -> None:
    assert CheckPace().patience(60.0, 30.0) == 60.0


def test_one_slow_answer_alone_does_not_tell_how_slow_a_server_is() -> None:
    pace = CheckPace()
    assert not pace.uncertain(2.0)
    pace.answered(3.0)
    assert pace.uncertain(2.0)
    pace.answered(3.0)
    assert not pace.uncertain(2.0)
    pace.forget()
    assert pace.patience(2.0, 30.0) == 2.0
