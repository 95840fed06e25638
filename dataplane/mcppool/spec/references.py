"""References in the strings of a configuration file: `${NAME}`, `${NAME:-default}` and `${file:PATH}`.

`$${` stands for a plain `${`. Keys, numbers and booleans have no references. Reports show a reference as it is written,
and never its value, which may be a secret.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mcppool.spec.problems import Problem, show
from mcppool.spec.redaction import is_secret

Place = tuple[str | int, ...]
"""The place of a value in the parsed file."""

MAX_FILE: Final = 65_536
"""Upper bound on the bytes of a referenced file."""
FORMS: Final = "${NAME}, ${NAME:-default}, ${file:/a/path}; $${ for a plain ${"
_REFERENCE: Final = re.compile(r"\$\$\{|\$\{(?P<inner>[^}]*)(?P<end>\}?)")
_VARIABLE: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<otherwise>:-(?P<default>.*))?", re.DOTALL)
_FILE: Final = "file:"
_NO_TEXTS: Final = ("a whole number", "a number", "true")
"""The beginnings of what numbers and booleans allow."""
_SHORT: Final = 4
"""Shorter values are hidden only where they stand alone in quotes: `1` is in every second sentence."""


@dataclass(frozen=True)
class Reference:
    """A string with references: as it is written, its value, and whether the value is a secret."""

    written: str
    value: str
    secret: bool


@dataclass
class References:
    """The references of a file, and the mistakes in them, by place."""

    found: dict[Place, Reference] = field(default_factory=dict)
    mistakes: list[tuple[Place, str, str | None]] = field(default_factory=list)
    """Place, message, and what is allowed."""

    def hide(self, problem: Problem) -> Problem:
        """The problem with references in place of their values."""
        if not self.found:
            return problem
        message, value = self._hidden(problem.message), self._without_values(problem.value)
        if isinstance(value, str) and value != problem.value and (problem.allowed or "").startswith(_NO_TEXTS):
            message += ": a reference gives a text, and this key has none"
        return replace(problem, message=message, value=value)

    def secret_below(self, place: Place) -> bool:
        """Whether a secret is at a place, or below it."""
        return any(one.secret for at, one in self.found.items() if at[: len(place)] == place)

    def _without_values(self, value: Any) -> Any:
        if isinstance(value, str):
            whole = next((one.written for one in self.found.values() if one.value == value), None)
            return whole if whole is not None else self._hidden(value)
        if isinstance(value, dict):
            return {key: self._without_values(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._without_values(inner) for inner in value]
        return value

    def _hidden(self, text: str) -> str:
        for one in self.found.values():
            text = text.replace(show(one.value), show(one.written))
            if len(one.value) >= _SHORT:
                text = text.replace(one.value, one.written)
        return text


class _BadReference(Exception):
    """A reference has no value; the text gives the reason."""

    def __init__(self, message: str, allowed: str | None = None) -> None:
        super().__init__(message)
        self.allowed = allowed


def resolve(data: Any, variable: Callable[[str], str | None], read: Callable[[str], str]) -> tuple[Any, References]:
    """Parsed data with values in place of its references.

    `variable` gives the value of an environment variable, None if it is not set; `read` gives the text of a file, and
    raises OSError or ValueError.
    """
    references = References()
    return _resolve(data, (), _Sources(variable, read), references), references


def files_in(text: str) -> list[str]:
    """The files that the text of a configuration refers to."""
    inner = (match["inner"] for match in _REFERENCE.finditer(text) if match["inner"])
    return [reference.removeprefix(_FILE) for reference in inner if reference.startswith(_FILE)]


def read_referenced(path: str) -> str:
    """The text of a file without the line breaks at its end. Raises OSError, and ValueError for anything but a small
    text."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", path)
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ValueError(f"has more than {MAX_FILE} bytes")
    try:
        return data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None


@dataclass(frozen=True)
class _Sources:
    variable: Callable[[str], str | None]
    read: Callable[[str], str]


def _resolve(data: Any, place: Place, sources: _Sources, references: References) -> Any:
    if isinstance(data, dict):
        return {key: _resolve(inner, (*place, key), sources, references) for key, inner in data.items()}
    if isinstance(data, list):
        return [_resolve(inner, (*place, at), sources, references) for at, inner in enumerate(data)]
    if not isinstance(data, str) or "${" not in data:
        return data
    try:
        parts = [*_parts(data, sources)]
    except _BadReference as error:
        references.mistakes.append((place, str(error), error.allowed))
        return data
    value = "".join(text for text, _, _ in parts)
    if any(name is not None for _, name, _ in parts):
        written = "".join(text if name is None else name for text, name, _ in parts)
        references.found[place] = Reference(written, value, any(secret for _, _, secret in parts))
    return value


def _parts(text: str, sources: _Sources) -> Iterator[tuple[str, str | None, bool]]:
    """The parts of a string: the text, its reference as people see it (None for plain text), whether it is a secret."""
    at = 0
    for match in _REFERENCE.finditer(text):
        yield text[at : match.start()], None, False
        at = match.end()
        if match["inner"] is None:
            yield "${", None, False
        elif not match["end"]:
            raise _BadReference(f"{show(match[0])} has no }}", FORMS)
        else:
            yield _value(match["inner"], match[0], sources)
    yield text[at:], None, False


def _quoted(path: str) -> str:
    """A path as a whole, however long: its end names the file."""
    return json.dumps(path, ensure_ascii=not path.isprintable())


def _value(inner: str, written: str, sources: _Sources) -> tuple[str, str, bool]:
    if inner.startswith(_FILE):
        path = inner.removeprefix(_FILE)
        try:
            return sources.read(path), written, True
        except OSError as error:
            raise _BadReference(f"the file {_quoted(path)} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise _BadReference(f"the file {_quoted(path)} {error}") from None
    match = _VARIABLE.fullmatch(inner)
    if match is None:
        raise _BadReference(f"{show(written)} is not a reference", FORMS)
    name = match["name"]
    value = sources.variable(name)
    if match["otherwise"] is not None and not value:
        value = match["default"]
    if value is None:
        raise _BadReference(f"the environment variable {name} is not set", f"set it, or write ${{{name}:-default}}")
    return value, f"${{{name}}}", is_secret(name)
