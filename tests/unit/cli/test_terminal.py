"""Tables in a terminal, and a text that is drawn over the one before."""

from __future__ import annotations

import os
import re

import pytest

from mcppool.cli.status_tables import StatusTables
from mcppool.cli.terminal import MAX_COLUMN, table, width_of
from mcppool.cli.window import cut, drawn

HEAD = ("NAME", "HINTS")


@pytest.mark.parametrize(
    ("text", "columns"), [("plain", 5), ("日本語", 6), ("e\u0301", 1), ("🎉", 2), ("über", 4), ("", 0)]
)
def test_a_character_takes_the_columns_that_a_terminal_gives_it(text: str, columns: int) -> None:
    assert width_of(text) == columns


def test_columns_stay_in_line_beside_wide_characters_and_accents() -> None:
    lines = [*table(HEAD, [("日本語", "x"), ("e\u0301", "x"), ("plain", "x")])]
    assert {width_of(line.removesuffix("x")) for line in lines[1:]} == {width_of("日本語") + 2}


def test_a_very_long_name_moves_its_own_row_only() -> None:
    lines = [*table(HEAD, [("x" * 200, "far"), ("short", "near")])]
    assert lines[1] == "x" * 200 + "  far"
    assert lines[2] == "short".ljust(MAX_COLUMN + 2) + "near"


def test_the_status_page_has_the_same_columns() -> None:
    lines = [*StatusTables(colour=False, everything=False).table(HEAD, [("日本語" * 40, 7), ("short", 8)])]
    assert lines[2] == "short".ljust(MAX_COLUMN + 2) + "    8"


@pytest.mark.parametrize(
    ("line", "columns", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 3, "abc"),
        ("日本語", 5, "日本"),
        ("\x1b[31mred\x1b[0m tail", 8, "\x1b[31mred\x1b[0m tail"),
        ("\x1b[31mred\x1b[0m tail", 2, "\x1b[31mre\x1b[0m"),
        ("abc", 0, ""),
    ],
)
def test_a_line_is_cut_at_the_edge_and_its_colour_ends_there(line: str, columns: int, shown: str) -> None:
    assert cut(line, columns) == shown


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (1, 1), (10, 2)])
def test_a_drawing_never_scrolls_the_window_nor_erases_what_was_there_before(size: tuple[int, int]) -> None:
    text = "\n".join(f"\x1b[32mline {number}\x1b[0m and {'more ' * 40}" for number in range(100))
    drawing = drawn(text, os.terminal_size(size))
    lines = re.sub("\x1b\\[[0-9;]*[A-Za-z]", "", drawing).split("\n")
    assert len(lines) <= max(size[1], 2)
    assert all(width_of(line) < max(size[0], 2) for line in lines)
    assert "\x1b[3J" not in drawing


def test_a_text_that_fits_is_shown_whole_and_another_says_how_much_is_missing() -> None:
    size = os.terminal_size((80, 5))
    assert "more lines" not in drawn("1\n2\n3\n4", size)
    assert "… 3 more lines" in drawn("1\n2\n3\n4\n5\n6", size)
