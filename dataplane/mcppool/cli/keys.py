"""`mcppool keys`: make, list and remove API keys in a file of their hashes."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mcppool.access.key_file import (
    MAX_KEYS,
    ApiKey,
    check_name,
    check_words,
    hash_of,
    new_key,
    parse_keys,
    read_key_file,
    render_key,
)
from mcppool.cli.output import add_output_option, print_json, wants_json
from mcppool.cli.parsing import Commands, Parser

ID_DIGITS: Final = 8
"""Hexadecimal digits of a hash that identify a key among those of one name."""
_DAYS: Final = re.compile(r"([1-9][0-9]{0,4})d", re.ASCII)
DAY: Final = 86_400


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "keys",
        help="make, list and remove API keys of clients",
        description="The file has the hashes of the keys, for auth.inbound.api_keys.keys_file. Gateways read it again "
        "within seconds of a change. Exit status 0: done; 1: not done; 2: wrong usage.",
        examples=(
            "mcppool keys add keys.toml ci --expires 90d",
            "mcppool keys list keys.toml",
            "mcppool keys remove keys.toml ci",
        ),
    )
    parser.set_defaults(run=parser.help)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    add = actions.add_parser(
        "add",
        help="make a key, and print it once",
        description="Make a key, and print it once.",
        examples=("mcppool keys add keys.toml ci --expires 90d --group builders --scope mcp:read",),
    )
    add_output_option(add)
    add.add_argument("file", type=Path, metavar="FILE", help="file of hashes; it is made if it is not there")
    add.add_argument("name", metavar="NAME", help="who gets the key; several keys of one name are one client")
    add.add_argument(
        "--expires",
        metavar="WHEN",
        help="end of its validity: days from now, such as 90d, or a date, such as 2027-01-31",
    )
    add.add_argument("--group", action="append", default=[], metavar="GROUP", help="group of the client; repeatable")
    add.add_argument("--scope", action="append", default=[], metavar="SCOPE", help="scope of the client; repeatable")
    add.set_defaults(run=_reporting(_add))
    listing = actions.add_parser(
        "list",
        help="list the keys of a file",
        description="List the keys of a file.",
        examples=("mcppool keys list keys.toml", "mcppool keys list -o json keys.toml"),
    )
    add_output_option(listing)
    listing.add_argument("file", type=Path, metavar="FILE")
    listing.set_defaults(run=_reporting(_list))
    remove = actions.add_parser(
        "remove",
        help="remove a key",
        description="Remove a key.",
        examples=("mcppool keys remove keys.toml ci --id 9f86d081",),
    )
    remove.add_argument("file", type=Path, metavar="FILE")
    remove.add_argument("name", metavar="NAME", help="name of the key")
    remove.add_argument("--id", metavar="ID", help="which of several keys of that name; see `mcppool keys list`")
    remove.set_defaults(run=_reporting(_remove))


def _reporting(action: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """An action whose errors are sentences on standard error."""

    def run(args: argparse.Namespace) -> int:
        try:
            return action(args)
        except OSError as error:
            print(f"mcppool keys: {args.file}: {error.strerror}", file=sys.stderr)
        except ValueError as error:
            print(f"mcppool keys: {error}", file=sys.stderr)
        return 1

    return run


def _add(args: argparse.Namespace) -> int:
    now = time.time()
    text = read_key_file(str(args.file)) if args.file.exists() else ""
    keys = _parsed(args.file, text)
    if len(keys) >= MAX_KEYS:
        raise ValueError(f"{args.file} has {MAX_KEYS} keys, which is the most; remove one first")
    key = new_key()
    entry = ApiKey(
        check_name(args.name),
        hash_of(key),
        _expiry(args.expires, now),
        check_words(args.group, "the groups"),
        check_words(args.scope, "the scopes"),
        now,
    )
    separator = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
    _write(args.file, text + separator + render_key(entry))
    if wants_json(args):
        print_json({"key": key, **_facts(entry)})
    else:
        print(key)
    print(f"This is the key of {entry.name}. It is in no file: store it now.", file=sys.stderr)
    return 0


def _list(args: argparse.Namespace) -> int:
    now = time.time()
    keys = _parsed(args.file, read_key_file(str(args.file)))
    if wants_json(args):
        print_json({"keys": [_facts(key) for key in keys]})
        return 0
    for key in keys:
        until = (
            "no end" if key.expires is None else ("expired " if key.expires <= now else "until ") + _day(key.expires)
        )
        words = [f"groups {', '.join(key.groups)}"] if key.groups else []
        words += [f"scopes {' '.join(key.scopes)}"] if key.scopes else []
        since = f"made {_day(key.created)}" if key.created is not None else ""
        print("  ".join(part for part in (_id(key), key.name, since, until, *words) if part))
    return 0


def _remove(args: argparse.Namespace) -> int:
    text = read_key_file(str(args.file))
    keys = _parsed(args.file, text)
    found = [key for key in keys if key.name == args.name and (args.id is None or key.hash.hex().startswith(args.id))]
    if not found:
        raise ValueError(f"{args.file} has no key {args.name}" + (f" with the id {args.id}" if args.id else ""))
    if len(found) > 1:
        ids = ", ".join(map(_id, found))
        raise ValueError(f"{args.file} has {len(found)} keys {args.name}: say which one with --id ({ids})")
    _write(args.file, "".join(render_key(key) for key in keys if key is not found[0]))
    return 0


def _parsed(file: Path, text: str) -> Sequence[ApiKey]:
    try:
        return parse_keys(text)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _expiry(text: str | None, now: float) -> float | None:
    if text is None:
        return None
    if match := _DAYS.fullmatch(text):
        return now + int(match[1]) * DAY
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"--expires: {text!r} is neither days, such as 90d, nor a date, such as 2027-01-31") from None
    at = (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
    if at <= now:
        raise ValueError(f"--expires: {text} is in the past")
    return at


def _write(file: Path, text: str) -> None:
    """Write the file as a whole, so that a gateway sees the old or the new one. A new file is for its owner only."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as new:
            new.write(text)
        if file.exists():
            os.chmod(name, file.stat().st_mode & 0o777)
        os.replace(name, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _facts(key: ApiKey) -> dict[str, Any]:
    """A key as JSON, without the key itself and its whole hash."""
    return {
        "id": _id(key),
        "name": key.name,
        "groups": list(key.groups),
        "scopes": list(key.scopes),
        "created": None if key.created is None else _moment(key.created),
        "expires": None if key.expires is None else _moment(key.expires),
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _id(key: ApiKey) -> str:
    return key.hash.hex()[:ID_DIGITS]


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
