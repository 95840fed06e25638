"""The scanner that finds lines, checked against tomllib."""

from __future__ import annotations

import json
import string
import tomllib
from typing import Any

from hypothesis import given, reject
from hypothesis import strategies as st

from mcppool.spec.positions import key_lines

BARE = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=6)
KEYS = st.one_of(BARE, st.text(string.printable + "é✓", max_size=6))


def write_key(draw: st.DrawFn, key: str) -> str:
    bare = key and all(c in string.ascii_letters + string.digits + "_-" for c in key)
    if bare and draw(st.booleans()):
        return key
    if draw(st.booleans()) and not any(c < " " or c in "'\x7f" for c in key):
        return f"'{key}'"
    return json.dumps(key)


@st.composite
def values(draw: st.DrawFn, depth: int = 2) -> str:
    """A value in one of TOML's many spellings."""
    kinds = ["plain", "basic", "literal", "long", "long literal"] + ["array", "table"] * (depth > 0)
    kind = draw(st.sampled_from(kinds))
    text = draw(st.text("abc]}[{=,#.\"'\n \\", max_size=8))
    match kind:
        case "basic":
            return json.dumps(text)
        case "literal":
            return "'" + text.replace("'", "").replace("\n", "") + "'"
        case "long":
            return (
                '"""'
                + text.replace("\\", "\\\\").replace('"', '\\"')
                + draw(st.sampled_from(["", '""', "\\\n  x"]))
                + '"""'
            )
        case "long literal":
            return "'''" + text.replace("'", "") + draw(st.sampled_from(["", "''", "\nx = 1\n"])) + "'''"
        case "array":
            gap = draw(st.sampled_from([" ", "\n", " # ]\n  "]))
            items = draw(st.lists(values(depth - 1), max_size=3))
            comma = "," if items and draw(st.booleans()) else ""
            return f"[{gap}" + f",{gap}".join(items) + f"{comma}{gap}]"
        case "table":
            keys = draw(st.lists(KEYS, max_size=3, unique=True))
            return "{" + ", ".join(f"{write_key(draw, key)} = {draw(values(depth - 1))}" for key in keys) + "}"
    return draw(st.sampled_from(["1", "true", "-1.5e3", "2026-11-24T07:00:00Z", "inf", "0x1F"]))


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Tables, arrays of tables below each other, dotted keys, comments."""
    lines: list[str] = []
    for name in draw(st.lists(BARE, max_size=4, unique=True)):
        kind = draw(st.sampled_from(["table", "array", "pair"]))
        if kind == "pair":
            lines.insert(0, f"{name} = {draw(values())}")
            continue
        count = draw(st.integers(1, 3)) if kind == "array" else 1
        for _ in range(count):
            brackets = ("[[", "]]") if kind == "array" else ("[", "]")
            lines.append(f"{brackets[0]} {name} {brackets[1]} # {{")
            for key in draw(st.lists(KEYS, max_size=3, unique=True)):
                dotted = draw(st.sampled_from(["", ".x", " . y . z"]))
                lines.append(f"  {write_key(draw, key)}{dotted} = {draw(values())}")
            if draw(st.booleans()):
                lines.append(f"[{name}.'sub t'.below]")
                lines.append(f"k = {draw(values())}")
            for _ in range(draw(st.integers(0, 2))):
                lines.append(f"[[{name}.inner]]")
                lines.append(f"v = {draw(values())}")
    text = "\n".join(lines)
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


def places(data: Any, place: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    """Of everything in the data: keys, tables and list items."""
    found = {place} if place else set()
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        found |= places(value, (*place, key))
    return found


@given(documents())
def test_every_key_and_item_that_tomllib_reads_has_a_line_and_nothing_else_has(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # two names for one thing
        reject()
    lines = key_lines(text)
    assert set(lines) == places(data)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


@given(st.lists(st.tuples(BARE, values()), max_size=6, unique_by=lambda pair: pair[0]))
def test_the_line_of_a_key_is_its_line_in_the_file(pairs: list[tuple[str, str]]) -> None:
    text, expected = "", {}
    for key, value in pairs:
        expected[(key,)] = text.count("\n") + 1
        text += f"{key} = {value}\n"
    lines = key_lines(text)
    assert {place: line for place, line in lines.items() if len(place) == 1} == expected


def test_keys_are_found_through_dots_tables_and_lists() -> None:
    lines = key_lines(
        'profile = "test"\n'
        "[retry_policy]\n"
        "max_attempts = 3\n"
        "[[pools]]\n"
        'name = """\n'
        'a"""\n'
        "endpoints = [\n"
        '  "http://a/mcp", # ]\n'
        '  {url = "http://b/mcp", weight = 2},\n'
        "]\n"
        "  [pools.timeouts]\n"
        "  request = '1s'\n"
        "[[pools]]\n"
        "retry_policy.max_attempts = 2\n"
        '  [pools.tools."search*"]\n'
        "  idempotent = true\n"
    )
    assert lines["retry_policy", "max_attempts"] == 3
    assert lines["pools", 0] == 4
    assert lines["pools", 0, "endpoints"] == 7
    assert lines["pools", 0, "endpoints", 0] == 8
    assert lines["pools", 0, "endpoints", 1, "weight"] == 9
    assert lines["pools", 0, "timeouts"] == 11
    assert lines["pools", 0, "timeouts", "request"] == 12
    assert lines["pools", 1, "retry_policy", "max_attempts"] == 14
    assert lines["pools", 1, "tools", "search*", "idempotent"] == 16
