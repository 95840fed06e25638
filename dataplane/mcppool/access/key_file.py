"""The file of API keys: names and hashes, as TOML. The keys themselves are in no file.

```
[[keys]]
name = "ci"
hash = "sha256:9f86d0…"
expires = 2027-01-01T00:00:00Z
groups = ["builders"]
scopes = ["mcp:read"]
```

Several keys may have one name: they are one principal, so that a key can be replaced without a moment in which neither
holds.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any, Final, NamedTuple

from mcppool.small_file import read_small_file

PREFIX: Final = "mcppool_"
"""Keys begin with it, so that scanners find one that was published by mistake."""
BYTES: Final = 32
"""Random bytes of a key."""
MAX_FILE: Final = 1 << 20
MAX_KEYS: Final = 10_000
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}", re.ASCII)
_WORD: Final = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,256}", re.ASCII)
"""A scope, as RFC 6749 §3.3 writes it; groups are held to the same."""
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_FIELDS: Final = frozenset({"name", "hash", "created", "expires", "groups", "scopes"})


class ApiKey(NamedTuple):
    """One entry of the file. `expires` is in seconds since the epoch, None for no end."""

    name: str
    hash: bytes
    expires: float | None = None
    groups: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    created: float | None = None


def new_key() -> str:
    """A new key of 256 random bits."""
    return PREFIX + secrets.token_urlsafe(BYTES)


def hash_of(key: str) -> bytes:
    """The hash of a key. A plain hash is enough, because 256 random bits cannot be guessed."""
    return hashlib.sha256(key.encode()).digest()


def read_key_file(path: str) -> str:
    """The text of a key file. Raises OSError, or ValueError if it is too large or not UTF-8."""
    data = read_small_file(path, MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ValueError(f"has more than {MAX_FILE} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """The entries of a key file. Raises ValueError, which names the entry and shows no hash."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is not TOML: {error}") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    entries = data.get("keys", [])
    if set(data) - {"keys"} or not isinstance(entries, list):
        raise ValueError("has something else than [[keys]] in it")
    if len(entries) > MAX_KEYS:
        raise ValueError(f"has more than {MAX_KEYS} keys")
    keys = tuple(_parse(number, entry) for number, entry in enumerate(entries, 1))
    if len({key.hash for key in keys}) < len(keys):
        raise ValueError("has the same key twice")
    return keys


def render_key(key: ApiKey) -> str:
    """The lines of one entry."""
    lines = ["[[keys]]", f'name = "{key.name}"', f'hash = "sha256:{key.hash.hex()}"']
    for name, value in (("created", key.created), ("expires", key.expires)):
        if value is not None:
            lines.append(f"{name} = {_time(value)}")
    for name, words in (("groups", key.groups), ("scopes", key.scopes)):
        if words:
            lines.append(f"{name} = [" + ", ".join(f'"{word}"' for word in words) + "]")
    return "\n".join(lines) + "\n\n"


def check_name(name: str) -> str:
    """The name of a key. Raises ValueError if it is invalid."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a key: up to 128 letters, digits, and . _ @ - inside")
    return name


def check_words(words: Sequence[str], what: str) -> tuple[str, ...]:
    """Scopes or groups. Raises ValueError if one of them contains white space or quotes."""
    for word in words:
        if not isinstance(word, str) or not _WORD.fullmatch(word):
            raise ValueError(f"{word!r} cannot be one of {what}: visible ASCII without quotes and backslashes")
    return tuple(words)


def _parse(number: int, entry: Any) -> ApiKey:
    try:
        return _entry(entry)
    except ValueError as error:
        name = entry.get("name") if isinstance(entry, dict) else None
        shown = f' ("{name}")' if isinstance(name, str) and _NAME.fullmatch(name) else ""
        raise ValueError(f"keys[{number}]{shown}: {error}") from None


def _entry(entry: Any) -> ApiKey:
    if not isinstance(entry, dict):
        raise ValueError("is not a table")
    if unknown := sorted(set(entry) - _FIELDS):
        raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(_FIELDS))}")
    name, hash = entry.get("name"), entry.get("hash")
    if not isinstance(name, str):
        raise ValueError("name is missing")
    if not isinstance(hash, str) or not _HASH.fullmatch(hash):
        raise ValueError('hash is missing, or is not "sha256:" and 64 hexadecimal digits; `mcppool keys add` writes it')
    groups, scopes = entry.get("groups", []), entry.get("scopes", [])
    if not isinstance(groups, list) or not isinstance(scopes, list):
        raise ValueError("groups and scopes are lists of strings")
    return ApiKey(
        check_name(name),
        bytes.fromhex(hash.removeprefix("sha256:")),
        _seconds(entry.get("expires"), "expires"),
        check_words(groups, "groups"),
        check_words(scopes, "scopes"),
        _seconds(entry.get("created"), "created"),
    )


def _seconds(value: Any, name: str) -> float | None:
    """Seconds of a TOML date. A date alone means its beginning, in UTC; so does a time without a zone."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return (value if value.tzinfo is not None else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC).timestamp()
    raise ValueError(f"{name} is not a date such as 2027-01-01T00:00:00Z")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
