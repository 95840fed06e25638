"""The file of sealing keys, named by `listener.sealing_keys`."""

from __future__ import annotations

from mcppool.small_file import read_small_file
from mcppool.spec import ConfigError, Problem
from mcppool.wire.sealing import KeyRing, parse_keys

MAX_SIZE = 64 * 1024  # bytes: some hundred keys


def read_key_file(path: str) -> str:
    """The text of a key file. Raises ConfigError."""
    try:
        data = read_small_file(path, MAX_SIZE + 1)
        if len(data) > MAX_SIZE:
            raise ValueError(f"has more than {MAX_SIZE} bytes")
        return data.decode("ascii")
    except UnicodeDecodeError as error:  # its text would show bytes of the file
        raise ConfigError([Problem("listener.sealing_keys", "is not ASCII text", path)]) from error
    except (OSError, ValueError) as error:
        raise ConfigError([Problem("listener.sealing_keys", str(error), path)]) from error


def parse_key_file(text: str, path: str | None) -> KeyRing:
    """The ring of a key file. Raises ConfigError, which shows no secret."""
    try:
        return parse_keys(text, path or "sealing keys")
    except ValueError as error:
        raise ConfigError([Problem("listener.sealing_keys", str(error), path)]) from error
