"""Durations and sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.spec.values import format_duration, format_size, parse_duration, parse_size


@given(st.integers(0, 9999 * 3_600_000).map(lambda milliseconds: milliseconds / 1000))
def test_a_duration_is_read_as_it_was_written(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 1 << 29))
def test_a_size_is_read_as_it_was_written(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("10s", 10), ("1h30m", 5400), ("1m30s5ms", 90.005), ("0s", 0)]
)
def test_durations_are_sums_of_numbers_with_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "1.5s", "1d", "-1s", "1 s", "123456s", "1h1m1s1ms1h", "١s", "10s\n"])
def test_a_duration_outside_gep_2257_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("0B", 0), ("7B", 7), ("64KiB", 65536), ("4MiB", 4 << 20), ("2GiB", 2 << 30)]
)
def test_sizes_are_numbers_with_a_binary_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "4", "4MB", "4Mi", "-1B", "1.5MiB", "4 MiB"])
def test_a_size_with_another_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)
