from __future__ import annotations

from dataclasses import dataclass

from mcppool.policy.priority import preferred


@dataclass(frozen=True)
class Endpoint:
    name: str
    zone: str | None = None
    priority: int = 0
    full_weight: float = 100.0


def names(available: list[Endpoint], everyone: list[Endpoint] | None = None, zone: str | None = None) -> str:
    return "".join(e.name for e in preferred(available, everyone or available, zone))


A, B, C, D = Endpoint("A", "a"), Endpoint("B", "b"), Endpoint("C", "a"), Endpoint("D", None)


def test_without_endpoints_none_is_preferred() -> None:
    assert preferred([], [A], "a") == ()


def test_without_an_own_zone_all_are_alike() -> None:
    assert names([A, B, C, D]) == "ABCD"


def test_those_of_the_own_zone_come_first() -> None:
    assert names([A, B, C, D], zone="a") == "AC"


def test_in_a_zone_without_endpoints_all_are_alike() -> None:
    assert names([A, B, C, D], zone="x") == "ABCD"


def test_half_of_the_own_zone_is_enough_and_less_is_not() -> None:
    assert names([A, B], [A, B, C], zone="a") == "A"
    assert names([A, B], [A, B, C, Endpoint("E", "a")], zone="a") == "AB"


def test_the_lowest_priority_that_has_any_is_used() -> None:
    first, second = Endpoint("1", priority=1), Endpoint("2", priority=2)
    assert names([second, first]) == "1"
    assert names([second], [first, second]) == "2"


def test_priority_comes_before_zone() -> None:
    near, far = Endpoint("n", "a", priority=1), Endpoint("f", "b", priority=0)
    assert names([near, far], zone="a") == "f"


def test_a_zone_is_judged_by_its_endpoints_of_the_same_priority() -> None:
    spare = [Endpoint(str(number), "a", priority=1) for number in range(5)]
    assert names([A, B], [A, B, *spare], zone="a") == "A"


def test_an_endpoint_of_weight_0_is_used_only_if_there_is_no_other() -> None:
    idle = Endpoint("0", full_weight=0.0)
    assert names([A, idle]) == "A"
    assert names([idle], [A, idle]) == "0"
