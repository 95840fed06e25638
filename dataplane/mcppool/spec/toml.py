"""Reads a configuration file: every problem at once, with file, line and dotted path."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mcppool.spec.file_reader import COMMAND_LINE, read_data
from mcppool.spec.positions import key_lines
from mcppool.spec.problems import ConfigError, Problem, show
from mcppool.spec.profiles import Profile
from mcppool.spec.redaction import without_secret_values
from mcppool.spec.references import read_referenced, resolve
from mcppool.spec.snapshot import Snapshot

MAX_BYTES: Final = 16 << 20
"""Upper bound in bytes on a configuration file."""

_POSITION = re.compile(r" \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)$")


def load_toml(path: str | Path) -> Snapshot:
    """The snapshot of a file; ConfigError with every mistake in it. An empty file has no pools."""
    source = str(path)
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Problem("", f"cannot be read: {error.strerror}", source=source)]) from None
    return load_bytes(raw, source)


def load_bytes(raw: bytes, source: str) -> Snapshot:
    """Like `load_toml`, from the file's bytes, of which more than `MAX_BYTES` are refused."""
    if len(raw) > MAX_BYTES:
        raise ConfigError([Problem("", too_large(), source=source)])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem("", "is not UTF-8 text", line=line, source=source)]) from None
    return loads_toml(text, source)


def too_large() -> str:
    """The message about a file of more than `MAX_BYTES`."""
    return f"is larger than {MAX_BYTES >> 20} MiB"


def loads_toml(
    text: str,
    source: str = "configuration",
    flags: Mapping[str, Any] | None = None,
    variables: Mapping[tuple[str, ...], str] | None = None,
) -> Snapshot:
    """The snapshot of a text; ConfigError with every mistake in it. `flags` are sections of the process from the
    command line; they win over the text. `variables` names the environment variables of flags that the environment
    gives, by place."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_problem(text, str(error), source)]) from None
    except RecursionError:
        raise ConfigError([Problem("", "is nested too deeply", source=source)]) from None
    data, references = resolve(data, os.environ.get, read_referenced)
    return read_data(data, key_lines(text), source, flags, references, variables)


def default_snapshot(
    urls: Sequence[str],
    profile: Profile = "development",
    *,
    command: Sequence[str] = (),
    replicas: int | None = None,
    listen: str | None = None,
    admin_port: int | None = None,
    env: Mapping[str, str] | None = None,
    env_from: Sequence[str] = (),
    accept_everyone: bool = False,
    workers: int | str | None = None,
    variables: Mapping[tuple[str, ...], str] | None = None,
) -> Snapshot:
    """A snapshot with these URLs, or replicas of this local program, as one pool named `default`, with other listen
    addresses than the usual ones if they are given. `env` and `env_from` are the program's variables, in addition to
    the small environment of every local server. `accept_everyone` says that no client
    authenticates, wherever the gateway listens. `workers` is the number of processes.
    `variables` names the environment variables that gave values, by place.

    ConfigError if one of them is no URL, no number of replicas, no address or no port.
    """
    pool: dict[str, Any] = {"name": "default"}
    if command:
        pool["command"] = list(command)
        if replicas is not None:
            pool["replicas"] = replicas
        pool |= {"env": dict(env or {}), "env_from": list(env_from)}
    else:
        pool["endpoints"] = list(urls)
    if accept_everyone:
        pool["auth"] = {"inbound": {"type": "none"}}
    data: dict[str, Any] = {"profile": profile, "pools": [pool]}
    listener = {"listen": listen, "workers": workers}
    if given := {key: value for key, value in listener.items() if value is not None}:
        data["listener"] = given
    if admin_port is not None:
        data["metrics"] = {"port": admin_port}
    return read_data(data, {}, COMMAND_LINE, variables=variables)


def _syntax_problem(text: str, message: str, source: str) -> Problem:
    match = _POSITION.search(message)
    lines = text.rstrip("\n").split("\n")
    line = int(match[1]) if match and match[1] else len(lines)
    column = int(match[2]) if match and match[2] else None
    what = message[: match.start()] if match else message
    at = min(line, len(lines)) - 1
    written = without_secret_values(lines[at].strip(), table=_table_around(lines[:at]))
    key = written.partition("=")[0].strip()
    if what.startswith("Cannot overwrite") and "=" in written and key:
        return Problem("", f"{key} is written twice", written, line=line, source=source)
    if what.startswith("Cannot declare"):
        return Problem("", f"{written} is written twice", written, line=line, source=source)
    text = f"is not TOML: {what[:1].lower()}{what[1:]}: {show(written)}"
    return Problem("", text, written, line=line, source=source, column=column)


def _table_around(lines: list[str]) -> str:
    """The last head of a table in the lines, as far as it can be found in a file that cannot be read."""
    return next((line.strip() for line in reversed(lines) if line.lstrip().startswith("[")), "")
