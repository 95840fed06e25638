"""The line of each key in a TOML text, which `tomllib` does not give: a problem is easier to mend with its line.

tomllib has already read the text, so this scanner need not judge it: it distinguishes strings, arrays and tables, and
takes everything else as it comes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Position = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_LONG_BASIC = re.compile(r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''.*?'''(?:'{0,2})", re.DOTALL)
_PLAIN = re.compile(r"[^,\]}#\n]*")


def key_lines(text: str) -> Mapping[Position, int]:
    """The line, counted from 1, of each key, table and array element in a valid TOML text, by its place."""
    return _Scanner(text.replace("\r\n", "\n")).scan()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines: dict[Position, int] = {}
        self._sizes: dict[Position, int] = {}  # of arrays of tables: a header below one refers to its last element
        self._counted = (0, 1)

    def scan(self) -> dict[Position, int]:
        table: Position = ()
        while self._skip(_BLANK):
            if self._text.startswith("[[", self._at):
                table = self._header(2)
            elif self._text[self._at] == "[":
                table = self._header(1)
            else:
                self._pair(table)
        return self._lines

    def _header(self, brackets: int) -> Position:
        start = self._at
        self._at += brackets
        names = self._key()
        self._skip(_SPACE)
        self._at += brackets
        table: Position = ()
        for name in names[:-1]:
            table = self._last((*table, name))
            self._note(table, start)
        table = (*table, names[-1])
        if brackets == 1:
            self._note(table, start, first=False)
            return table
        self._note(table, start)
        index = self._sizes.get(table, 0)
        self._sizes[table] = index + 1
        self._note((*table, index), start)
        return (*table, index)

    def _pair(self, table: Position) -> None:
        start = self._at
        names = self._key()
        for end in range(1, len(names) + 1):
            self._note((*table, *names[:end]), start)
        self._skip(_SPACE)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value((*table, *names))

    def _key(self) -> list[str]:
        names: list[str] = []
        while True:
            self._skip(_SPACE)
            quote = self._text[self._at]
            token = self._take({'"': _BASIC, "'": _LITERAL}.get(quote, _BARE_KEY))
            names.append(token if quote not in "\"'" else next(iter(tomllib.loads(f"{token} = 0"))))
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return names
            self._at += 1

    def _value(self, place: Position) -> None:
        text, at = self._text, self._at
        if text.startswith('"""', at):
            self._take(_LONG_BASIC)
        elif text.startswith("'''", at):
            self._take(_LONG_LITERAL)
        elif text.startswith('"', at):
            self._take(_BASIC)
        elif text.startswith("'", at):
            self._take(_LITERAL)
        elif text.startswith("[", at):
            self._array(place)
        elif text.startswith("{", at):
            self._inline_table(place)
        else:
            self._take(_PLAIN)

    def _array(self, place: Position) -> None:
        self._at += 1
        index = 0
        while True:
            self._skip(_BLANK)
            if self._text[self._at] == "]":
                break
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._note((*place, index), self._at)
            self._value((*place, index))
            index += 1
        self._at += 1

    def _inline_table(self, place: Position) -> None:
        self._at += 1
        while True:
            self._skip(_BLANK)
            if self._text[self._at] == "}":
                break
            if self._text[self._at] == ",":
                self._at += 1
                continue
            self._pair(place)
        self._at += 1

    def _last(self, table: Position) -> Position:
        return (*table, self._sizes[table] - 1) if table in self._sizes else table

    def _note(self, place: Position, at: int, *, first: bool = True) -> None:
        """Only the first mention counts, except that a table's own header wins over those of its subtables."""
        if not first or place not in self._lines:
            self._lines[place] = self._line(at)

    def _line(self, at: int) -> int:
        counted, line = self._counted
        if at < counted:
            return self._text.count("\n", 0, at) + 1
        line += self._text.count("\n", counted, at)
        self._counted = (at, line)
        return line

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        self._take(pattern)
        return self._at < len(self._text)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        assert match is not None, "not TOML"
        self._at = match.end()
        return match[0]
