"""Candidates for the word at the cursor, for the completion of a shell."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from mcppool.cli.parsing import Parser

FILES: Final = ":files"
"""Stands for the names of files, which the shell knows."""
_FILE_NAMES: Final = ("FILE", "DIR", "URL", "ADMIN_URL", "SNAPSHOT")
"""Arguments that may be files; a URL cannot be completed, but a configuration file may be in its place."""


def candidates(parser: Parser, words: Sequence[str]) -> Iterator[str]:
    """Lines `WORD` or `WORD<tab>DESCRIPTION`, or FILES. `words` follow the name of the command; the last is at
    the cursor."""
    *before, current = words or [""]
    if "--" in before:  # another program's command line
        yield FILES
        return
    if before and before[-1] == "=":  # bash takes `--flag=value` apart
        before.pop()
    elif current == "=" or (current.startswith("--") and "=" in current):
        flag, _, value = current.partition("=")
        flag = flag or (before.pop() if before else "")
        prefix = "" if current == "=" else f"{flag}="
        for line in candidates(parser, [*before, flag, value]):
            yield line if line == FILES else prefix + line
        return
    parser, pending, given = _walk(parser, before)
    lines = _values(pending, words) if pending is not None else _arguments(parser, current, given, words)
    yield from (line for line in lines if line == FILES or line.startswith(current))


def _walk(parser: Parser, before: Sequence[str]) -> tuple[Parser, argparse.Action | None, int]:
    """The subcommand that the words lead to, the flag that waits for its value, the number of its other arguments."""
    pending: argparse.Action | None = None
    given = 0
    for word in before:
        if pending is not None:
            pending = None
        elif word.startswith("-") and word != "-":
            action = next((action for action in parser._actions if word in action.option_strings), None)
            pending = action if action is not None and action.nargs is None else None
        elif word in (inner := parser.subcommands()):
            parser, given = inner[word], 0
        else:
            given += 1
    return parser, pending, given


def _arguments(parser: Parser, current: str, given: int, words: Sequence[str]) -> Iterator[str]:
    """Flags, or the subcommands and values that may come next."""
    if current.startswith("-"):
        for action in parser._actions:
            if action.help != argparse.SUPPRESS:
                yield from (_described(flag, action.help) for flag in action.option_strings)
        return
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            if given:
                return  # an unknown subcommand
            for choice in action._choices_actions:
                yield _described(choice.dest, choice.help)
            return
    positionals = [action for action in parser._actions if not action.option_strings]
    if given < len(positionals):
        yield from _values(positionals[given], words)


def _values(action: argparse.Action, words: Sequence[str]) -> Iterator[str]:
    """The values of one argument."""
    if action.choices:
        yield from map(str, action.choices)
    elif action.dest == "pool":
        yield from _names_in(words, "pools")
    elif action.dest == "name":  # of a key
        yield from _names_in(words, "keys")
    elif action.metavar in _FILE_NAMES:
        yield FILES


def _names_in(words: Sequence[str], table: str) -> Iterator[str]:
    """The names of the pools or keys in the TOML files that the words name."""
    for word in words[:-1]:
        if word.endswith(".toml"):
            try:
                with open(word, "rb") as file:
                    data: dict[str, Any] = tomllib.load(file)
            except (OSError, ValueError, RecursionError):
                continue
            entries = data.get(table)
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, dict) and isinstance(name := entry.get("name"), str) and name.isprintable():
                    yield name


def _described(word: str, text: str | None) -> str:
    return f"{word}\t{text}" if text else word
