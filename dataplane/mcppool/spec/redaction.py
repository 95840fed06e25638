"""Hides secrets of a configuration in reports about it: in a log, on a status page, in a terminal.

A value is hidden if the name of its key indicates a secret. In any text, these parts are hidden: the user info before
the `@` of an address and the query after its `?`, values assigned to environment variables, and the argument of an
option that indicates a secret. The author, who has the file, finds the value by its place and line.
"""

from __future__ import annotations

import re
from typing import Any, Final

HIDDEN: Final = "(hidden)"
"""Replaces a secret value."""

MAX_LOOKED_AT: Final = 4096
"""Characters of a text that are examined. The rest of a longer text is hidden."""

_SECRET: Final = re.compile(
    r"pass(word|wd|phrase)?$|passwd|password|secret|token|api[_-]?key|access[_-]?key|credential|authorization|cookie"
    r"|bearer|private|^auth$|_key$|(?-i:Key$)",
    re.IGNORECASE,
)
# The place of a secret, not the secret.
_NO_SECRET: Final = re.compile(r"(file|ref|refs|name|keys|hash_?key|token_?types)$", re.IGNORECASE)
_KEY: Final = re.compile(r"[\w-]+(?=[\"']?\s*=)")
_USER: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*:/{0,2})?[^\s\"'@]*:?[^\s\"']*@")
_QUERY: Final = re.compile(r"(?P<before>://[^\"'?\n]*\?)[^\s\"']+")
_SECRET_TABLE: Final = re.compile(r"\b(env|headers|send)\b")
_ASSIGNED: Final = re.compile(r"(?<![\w-])(?P<name>-{0,2}[A-Za-z_][\w-]*)=[^\s\"']+")
_OPTION: Final = re.compile(r"(?<![\w-])(?P<name>--?[A-Za-z][\w-]*)(?P<space>\s+)[^\s\"'-][^\s\"']*")


def is_secret(key: str) -> bool:
    """Whether the name of a key indicates that its value is a secret."""
    return _SECRET.search(key) is not None and _NO_SECRET.search(key) is None


def without_secrets(text: str) -> str:
    """A text without the user info and the queries of its addresses."""
    if len(text) > MAX_LOOKED_AT:
        text = text[:MAX_LOOKED_AT] + HIDDEN
    if "@" in text:
        text = _USER.sub(_hide_user, text)
    if "?" in text:
        text = _QUERY.sub(lambda found: found["before"] + HIDDEN, text)
    if "=" in text:
        text = _ASSIGNED.sub(_hide_assigned, text)
    return _OPTION.sub(_hide_argument, text) if "-" in text else text


def without_secret_values(line: str, table: str = "") -> str:
    """A line of a file that cannot be read, cut after its first `=` if the key indicates a secret, or belongs to a
    table of variables or headers. `table` is the line with the head of its table."""
    key, equals, _ = line.partition("=")
    if equals and (_SECRET_TABLE.search(table) or any(map(_may_hold_secrets, _KEY.findall(line)))):
        return f"{key.rstrip()} = {HIDDEN}"
    return without_secrets(line)


def _may_hold_secrets(key: str) -> bool:
    return is_secret(key) or _SECRET_TABLE.search(key) is not None


def redacted(value: Any, key: str = "") -> Any:
    """A value that is safe to show: secrets, by the names of their keys, and addresses are hidden at any depth."""
    if key and is_secret(key) and not isinstance(value, dict) and value is not None:
        return HIDDEN
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {name: redacted(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        before = ("", *value)
        return [HIDDEN if _asks_for_secret(before[at]) else redacted(inner, key) for at, inner in enumerate(value)]
    return value


def _asks_for_secret(argument: Any) -> bool:
    """Whether an argument of a command is an option whose value, the next one, is a secret."""
    return isinstance(argument, str) and argument.startswith("-") and "=" not in argument and is_secret(argument)


def _hide_assigned(found: re.Match[str]) -> str:
    name = found["name"]
    return f"{name}={HIDDEN}" if name.isupper() or is_secret(name) else found[0]


def _hide_argument(found: re.Match[str]) -> str:
    return f"{found['name']}{found['space']}{HIDDEN}" if is_secret(found["name"]) else found[0]


def _hide_user(found: re.Match[str]) -> str:
    scheme = found["scheme"] or ""
    return f"{scheme}{HIDDEN}@" if scheme or ":" in found[0] else found[0]
