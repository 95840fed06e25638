"""The times of an access token: its renewal, and the end of its use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.token_renewal import DEFAULT_LIFETIME, MAX_LIFETIME, lifetime


@pytest.mark.parametrize(
    ("expires_in", "renewed_after", "ends_after"),
    [(3600, 2880, 3595), (100, 70, 95), (20, 10, 18), (None, 240, 295), (0, 0, 0), (-5, 0, 0), (1e12, 69120, 86395)],
)
def test_a_token_is_renewed_in_its_last_fifth_and_not_sent_in_its_last_seconds(
    expires_in: float | None, renewed_after: float, ends_after: float
) -> None:
    times = lifetime(1000.0, expires_in)
    assert (times.renew_at, times.ends_at) == (1000.0 + renewed_after, 1000.0 + ends_after)


@given(st.floats(allow_nan=False) | st.none(), st.floats(0, 1e9))
def test_it_is_renewed_before_it_ends_and_never_used_for_longer_than_it_is_valid(
    expires_in: float | None, asked_at: float
) -> None:
    times = lifetime(asked_at, expires_in)
    valid = DEFAULT_LIFETIME if expires_in is None else max(0.0, min(expires_in, MAX_LIFETIME))
    assert asked_at <= times.renew_at <= times.ends_at <= asked_at + valid
