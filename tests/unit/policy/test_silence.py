"""An endpoint's past silences distinguish a busy one from a hung one."""

from __future__ import annotations

import pytest

from mcppool.policy.hang_detection import FORGOTTEN_AFTER, MARGIN, MAX_SILENCE, REMEMBERED, Silences, may_work_long
from mcppool.policy.wait_for_endpoint import STARTING_HOLD, hold_until

HUNG_AFTER = 15.0


def after(*lasted: float, now: float = 1000.0) -> Silences:
    """Silences that have just been like this."""
    silences = Silences()
    for seconds in lasted:
        silences.begin(now - seconds)
        silences.end(now)
    return silences


@pytest.mark.parametrize(
    ("past", "present", "hung"),
    [
        pytest.param((), 14.0, False, id="first"),
        pytest.param((), 16.0, True, id="first-and-long"),
        pytest.param((4.0,), 14.0, False, id="never-less-than-hung_after"),
        pytest.param((20.0,), 20.0 * MARGIN - 1, False, id="as-before"),
        pytest.param((20.0,), 20.0 * MARGIN + 1, True, id="longer-than-it-ever-did"),
        pytest.param((30.0, 2.0), 40.0, False, id="the-longest-counts"),
        pytest.param((MAX_SILENCE + 1,), 16.0, True, id="no-tool-takes-so-long"),
    ],
)
def test_a_silence_is_a_hang_where_it_is_longer_than_any_before(
    past: tuple[float, ...], present: float, hung: bool
) -> None:
    silences = after(*past)
    silences.begin(1000.0)
    assert silences.too_long(HUNG_AFTER, 1000.0 + present) is hung


def test_where_a_first_silence_is_not_tolerated_history_still_is() -> None:
    assert after().tolerated(0.0, 1000.0) == 0.0
    assert after(4.0).tolerated(0.0, 1000.0) == 6.0


@pytest.mark.parametrize(
    ("answers", "quick", "long"), [(0, 0, True), (1, 1, False), (1, 0, True), (10, 9, False), (4, 2, True)]
)
def test_a_tool_may_work_long_unless_most_of_its_answers_were_quick(answers: int, quick: int, long: bool) -> None:
    assert may_work_long(answers, quick) is long


def test_a_silence_lasts_from_its_beginning_to_the_next_answer() -> None:
    silences = Silences()
    silences.begin(10.0)
    silences.begin(12.0)
    assert silences.end(15.0) == 5.0
    assert silences.since is None
    assert silences.longest(15.0) == 5.0


def test_remembered_silences_are_bounded_and_forgotten() -> None:
    silences = after(50.0, *[3.0] * REMEMBERED)
    assert silences.longest(1000.0) == 3.0
    assert silences.longest(1000.0 + FORGOTTEN_AFTER) == 0.0
    silences = after(9.0)
    silences.forget()
    assert silences.longest(1000.0) == 0.0


def test_a_call_without_an_endpoint_is_held_as_long_as_one_may_come() -> None:
    assert hold_until(10.0, 300.0, starting=0.0, hung=True) == 300.0
    assert hold_until(10.0, 300.0, starting=STARTING_HOLD, hung=False) == 10.0 + STARTING_HOLD
    assert hold_until(10.0, 11.0, starting=STARTING_HOLD, hung=False) == 11.0
    assert hold_until(10.0, 300.0, starting=0.0, hung=False) <= 10.0
