"""Pins of tool definitions."""

from __future__ import annotations

import pytest

from mcppool.policy import tool_pins
from mcppool.policy.tool_pins import Change, ToolPins


def test_the_first_definition_seen_is_the_expected_one() -> None:
    pins = ToolPins()
    assert pins.fits("a", "1")
    assert pins.fits("a", "1")
    assert not pins.fits("a", "2")
    assert pins.changes([("x", {"a": "1", "b": "7"}), ("y", {"a": "2", "b": "7"})]) == {"a": Change("1", "2", "y")}
    assert pins.changes([("x", {"a": "1"}), ("y", {})]) == {}, "it may go back"


def test_with_a_lock_file_a_tool_that_is_not_in_it_is_not_expected() -> None:
    pins = ToolPins({"a": "1"})
    assert pins.fits("a", "1")
    assert not pins.fits("b", "1")
    assert pins.changes([("x", {"a": "2", "b": "1"})]) == {"a": Change("1", "2", "x"), "b": Change("", "1", "x")}


def test_servers_that_list_ever_new_tools_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_pins, "MAX_PINS", 3)
    pins = ToolPins()
    assert [pins.fits(str(n), "1") for n in range(5)] == [True, True, True, False, False]
    assert pins.fits("0", "1")
