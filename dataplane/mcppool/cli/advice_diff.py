"""Advice as a diff of a configuration file, with a comment on each change.

A key that the file has is replaced in its line. Another key is added below the head of its table, or as a dotted key of
the pool. A change that the file then refuses, and a key that is not written with one value, is left as a comment.
"""

from __future__ import annotations

import difflib
import json
import re
import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mcppool.spec.problems import ConfigError
from mcppool.spec.toml import loads_toml

_WIDTH: Final = 100
_POOL: Final = re.compile(r"^\s*\[\[\s*pools\s*\]\]")
_TABLE: Final = re.compile(r"^\s*\[")

Advice = Mapping[str, Any]


def diff(text: str, name: str, advice: Sequence[Advice]) -> str:
    """A unified diff of the file `name` with this text: what `patch` applies. Empty without advice."""
    changed = text
    for each in advice:
        changed = _with_advice(changed, each)
    lines = difflib.unified_diff(text.splitlines(True), changed.splitlines(True), name, name)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _with_advice(text: str, advice: Advice) -> str:
    comment = [f"# advice: {line}" for line in textwrap.wrap(f"{advice['why']} {advice['check']}".strip(), _WIDTH)]
    # Each is put above the one before it: the comment comes last, and stands above all.
    for number, change in reversed([*enumerate(advice["changes"])]):
        said = comment if number == 0 else []
        put = _changed(text, advice["pool"], said, change)
        text = put if put is not None and _is_valid(put) else _commented(text, advice["pool"], said, change)
    return text


def _is_valid(text: str) -> bool:
    try:
        loads_toml(text)
    except ConfigError:
        return False
    return True


def _changed(text: str, pool: str, comment: list[str], change: Mapping[str, Any]) -> str | None:
    """The text with the change; None if it cannot be made in one line."""
    lines = text.splitlines()
    place = _table_of(lines, pool)
    if place is None or change["key"] == "endpoints":
        return None
    begin, end = place
    path = _parts(change["key"])
    for at in range(begin, end):
        if (table := _table_at(lines, begin, at)) is None:
            continue
        inline = _inline(lines[at], table, path, change["proposed"])
        if inline is None and _key_at(lines[at], table) != path:
            continue
        new = [inline] if inline is not None else []
        if inline is None and change["proposed"] is not None:
            new = [f"{lines[at].partition('=')[0].rstrip()} = {_toml(change['proposed'])}"]
        return "\n".join([*lines[:at], *comment, f"# {lines[at].strip()}", *new, *lines[at + 1 :], ""])
    if change["proposed"] is None:
        return None
    for size in range(len(path) - 1, 0, -1):  # the deepest table that the file has
        for at in range(begin, end):
            if _head(lines[at]) == ("pools", *path[:size]):
                line = f"{_dotted(path[size:])} = {_toml(change['proposed'])}"
                return "\n".join([*lines[: at + 1], *comment, line, *lines[at + 1 :], ""])
    line = f"{_dotted(path)} = {_toml(change['proposed'])}"
    below = _name_line(lines, begin, end) + 1
    return "\n".join([*lines[:below], *comment, line, *lines[below:], ""])


def _inline(line: str, table: tuple[str, ...], path: tuple[str, ...], proposed: Any) -> str | None:
    """The line with the change in its inline table (`pool = {max_concurrent = 4}`); None if it has no such table on the
    way to the key."""
    key, equals, _ = line.partition("=")
    if not equals:
        return None
    try:
        document: Any = tomllib.loads(line)
        name = _parts(key)
    except tomllib.TOMLDecodeError:
        return None
    for part in name:
        document = document.get(part) if isinstance(document, dict) else None
    above = (*table, *name)
    if not name or not isinstance(document, dict) or path[: len(above)] != above or len(path) == len(above):
        return None
    *way, last = path[len(above) :]
    inner = document
    for part in way:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            return None
    if proposed is None:
        inner.pop(last, None)
    else:
        inner[last] = proposed
    return f"{key.rstrip()} = {_toml(document)}"


def _commented(text: str, pool: str, comment: list[str], change: Mapping[str, Any]) -> str:
    """The text with the change as a comment alone."""
    lines = text.splitlines()
    place = _table_of(lines, pool)
    begin = _name_line(lines, *place) if place is not None else len(lines) - 1
    proposed = "leave it out" if change["proposed"] is None else json.dumps(change["proposed"])
    note = f"# advice: {change['key']}: {proposed}"
    return "\n".join([*lines[: begin + 1], *comment, note, *lines[begin + 1 :], ""])


def _name_line(lines: Sequence[str], begin: int, end: int) -> int:
    """The line with the name of a pool, below which its other keys are added."""
    return next(at for at in range(begin, end) if _key_at(lines[at], _table_at(lines, begin, at)) == ("name",))


def _table_of(lines: Sequence[str], pool: str) -> tuple[int, int] | None:
    """The lines of a pool: from its head to the next pool, or to a table of something else."""
    heads = [at for at, line in enumerate(lines) if _POOL.match(line)]
    for number, begin in enumerate(heads):
        end = heads[number + 1] if number + 1 < len(heads) else len(lines)
        for at in range(begin + 1, end):
            if _TABLE.match(lines[at]) and (_head(lines[at]) or ("",))[0] != "pools":
                end = at
                break
        if any(
            _key_at(lines[at], _table_at(lines, begin, at)) == ("name",) and _value(lines[at]) == pool
            for at in range(begin, end)
        ):
            return begin, end
    return None


def _table_at(lines: Sequence[str], begin: int, at: int) -> tuple[str, ...] | None:
    """The path, in the pool, of the table that a line belongs to; None for the head of a table."""
    if _TABLE.match(lines[at]):
        return None
    for before in range(at, begin, -1):
        if _TABLE.match(lines[before]):
            return (_head(lines[before]) or ("",))[1:]
    return ()


def _head(line: str) -> tuple[str, ...] | None:
    """The path of the table that a line begins; None if it begins none."""
    if not _TABLE.match(line):
        return None
    try:
        return _only_path(tomllib.loads(line.replace("[[", "[").replace("]]", "]")))
    except tomllib.TOMLDecodeError:
        return None


def _key_at(line: str, table: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The path, in the pool, of the key that a line sets; None if it sets none, or a part of a value."""
    if table is None or "=" not in line:
        return None
    try:
        return (*table, *_only_path(tomllib.loads(line)))
    except tomllib.TOMLDecodeError:
        return None


def _only_path(document: Any) -> tuple[str, ...]:
    path: list[str] = []
    while isinstance(document, dict) and len(document) == 1:
        ((name, document),) = document.items()
        path.append(name)
    return tuple(path)


def _value(line: str) -> Any:
    document: Any = tomllib.loads(line)
    while isinstance(document, dict) and len(document) == 1:
        (document,) = document.values()
    return document


def _parts(key: str) -> tuple[str, ...]:
    """The names in a dotted key."""
    return _only_path(tomllib.loads(f"{key} = 0"))


def _dotted(path: Sequence[str]) -> str:
    return ".".join(name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name) for name in path)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_dotted((name,))} = {_toml(inner)}' for name, inner in value.items())}}}"
    return json.dumps(value)
