from __future__ import annotations

import pytest

from tests.unit.policy.balancing.servers import chi_square, count, fresh, server


@pytest.mark.parametrize("size", [2, 3, 10])
def test_the_better_of_two_is_taken_and_the_worst_keeps_a_little(size: int) -> None:
    ranked = tuple(server(str(rank), score=1.0 - rank / size) for rank in range(size))
    expected = [2 * (size - rank) - 1 for rank in range(size)]  # of n² pairs: both draws are this one or worse
    assert chi_square(count(fresh("health_based"), ranked, 6_000), expected) < 5


def test_a_heavy_endpoint_is_still_passed_over_for_a_healthier_one() -> None:
    ill, well = server("ill", weight=300.0, score=0.2), server("well", score=0.9)
    assert chi_square(count(fresh("health_based"), (ill, well), 4_000), [9, 7]) < 5


def test_the_score_counts_as_it_is_at_the_pick() -> None:
    a, b = server("a", score=0.9), server("b", score=0.5)
    strategy, both = fresh("health_based"), (a, b)
    before = count(strategy, both, 1_000)
    a.score = 0.1
    after = count(strategy, both, 1_000)
    assert before[0] > 700
    assert after[0] < 300
