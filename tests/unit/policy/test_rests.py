from __future__ import annotations

import pytest

from mcppool.policy.retry_after import MAX_ENTRIES, RetryAfterTable

KIND, OTHER_TOOL, OTHER_PRINCIPAL = ("search", "alice"), ("read", "alice"), ("search", "bob")
EVERYONE = ("a", "b", "c")


def resting(rests: RetryAfterTable[str], now: float) -> str:
    return "".join(e for e in EVERYONE if rests.until(KIND, e, now) > now)


def test_an_endpoint_that_asks_for_a_rest_gets_it() -> None:
    rests: RetryAfterTable[str] = RetryAfterTable()
    assert not rests.used
    assert rests.begin(KIND, "a", 10.0, 0.0, EVERYONE)
    assert rests.used
    assert resting(rests, 9.9) == "a"
    assert resting(rests, 10.0) == ""


def test_the_rest_is_from_this_tool_and_principal_alone() -> None:
    rests: RetryAfterTable[str] = RetryAfterTable()
    rests.begin(KIND, "a", 10.0, 0.0, EVERYONE)
    assert rests.until(OTHER_TOOL, "a", 5.0) == 5.0
    assert rests.until(OTHER_PRINCIPAL, "a", 5.0) == 5.0


def test_the_last_one_gets_no_rest() -> None:
    rests: RetryAfterTable[str] = RetryAfterTable()
    assert [rests.begin(KIND, e, 10.0, 0.0, EVERYONE) for e in "abc"] == [True, True, False]
    assert resting(rests, 5.0) == "ab"
    assert rests.begin(KIND, "c", 20.0, 10.0, EVERYONE), "the others are back"
    assert not RetryAfterTable[str]().begin(KIND, "a", 10.0, 0.0, ("a",))


def test_a_longer_rest_is_not_made_shorter_by_the_next_answer() -> None:
    rests: RetryAfterTable[str] = RetryAfterTable()
    rests.begin(KIND, "a", 60.0, 0.0, EVERYONE)
    rests.begin(KIND, "a", 10.0, 0.0, EVERYONE)
    assert resting(rests, 30.0) == "a"


def test_the_longest_rest_of_an_endpoint_is_returned() -> None:
    rests: RetryAfterTable[str] = RetryAfterTable()
    rests.begin(KIND, "a", 10.0, 0.0, EVERYONE)
    rests.begin(OTHER_TOOL, "a", 30.0, 0.0, EVERYONE)
    assert rests.longest("a", 5.0) == (OTHER_TOOL, 25.0)
    assert rests.longest("b", 5.0) is None
    assert rests.longest("a", 30.0) is None


@pytest.mark.parametrize("how", ["time", "the endpoint goes"])
def test_nothing_is_left_behind(how: str) -> None:
    rests: RetryAfterTable[str] = RetryAfterTable()
    rests.begin(KIND, "a", 10.0, 0.0, EVERYONE)
    if how == "time":
        rests.sweep(9.0)
        assert rests.used
    else:
        rests.forget("a")
    rests.sweep(10.0 if how == "time" else 0.0)
    assert not rests.used


def test_tools_that_clients_make_up_fill_nothing() -> None:
    rests: RetryAfterTable[str] = RetryAfterTable()
    for n in range(3 * MAX_ENTRIES):
        rests.begin((f"made-up-{n}", "x"), "a", 10.0, 0.0, EVERYONE)
    kinds = sum(rests.until((f"made-up-{n}", "x"), "a", 0.0) > 0 for n in range(3 * MAX_ENTRIES))
    assert kinds == MAX_ENTRIES
