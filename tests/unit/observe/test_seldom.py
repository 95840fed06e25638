"""Events that outsiders can cause do not fill the log."""

from __future__ import annotations

import pytest

from mcppool.observe.logs import Logger
from mcppool.observe.rate_limited_event import MAX_KINDS, RateLimitedEvent
from tests.unit.footprint import footprint


class Lines(Logger):
    def __init__(self) -> None:
        super().__init__("test")
        self.lines: list[tuple[str, dict[str, object]]] = []

    def warning(self, event: str, /, **fields: object) -> None:
        self.lines.append((event, fields))


def test_one_line_of_a_kind_is_written_per_interval_and_the_next_counts_the_omitted_ones() -> None:
    lines, now = Lines(), [0.0]
    seldom = RateLimitedEvent(lines, 10.0, lambda: now[0])
    for number in range(5):
        seldom.warning("refused", "a", number=number)
    seldom.warning("refused", "b", number=9)
    now[0] = 10.0
    seldom.warning("refused", "a", number=6)
    now[0] = 20.0
    seldom.warning("refused", "a", number=7)
    assert lines.lines == [
        ("refused", {"number": 0}),
        ("refused", {"number": 9}),
        ("refused", {"number": 6, "left_out": 4}),
        ("refused", {"number": 7}),
    ]


def test_invented_kinds_add_neither_lines_nor_memory() -> None:
    lines = Lines()
    seldom = RateLimitedEvent(lines, 10.0, lambda: 0.0)
    for number in range(2 * MAX_KINDS):
        seldom.warning("refused", str(number))
    full = footprint(seldom)
    for number in range(2 * MAX_KINDS, 10 * MAX_KINDS):
        seldom.warning("refused", str(number))
    assert len(lines.lines) == MAX_KINDS + 1
    assert footprint(seldom) == pytest.approx(full, abs=100)
