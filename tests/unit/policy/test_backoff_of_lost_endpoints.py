"""A lost endpoint is checked soon while it is needed."""

from __future__ import annotations

from math import inf

import pytest

from mcppool.policy.backoff import MAX_CHECKS, SOON, endpoint_shortage


@pytest.mark.parametrize(
    ("available", "total", "wait"), [(0, 1, SOON), (1, 3, SOON), (1, 2, inf), (2, 3, inf), (3, 3, inf)]
)
def test_it_is_checked_soon_while_fewer_than_half_are_available(available: int, total: int, wait: float) -> None:
    assert endpoint_shortage(available, total) == wait


def test_a_large_pool_that_is_gone_is_not_checked_by_the_thousand() -> None:
    assert 1000 / endpoint_shortage(0, 1000) == MAX_CHECKS
