"""The files of sealing keys, named by `listener.sealing_keys` and `listener.accepted_keys`."""

from __future__ import annotations

from mcppool.small_file import read_small_file
from mcppool.spec import ConfigError, Problem
from mcppool.wire.sealing import KeyRing, parse_keys

MAX_SIZE = 64 * 1024  # bytes: some hundred keys


SEALING = "listener.sealing_keys"


def read_key_file(path: str, key: str = SEALING) -> str:
    """The text of a key file that the configuration names in `key`. Raises ConfigError."""
    try:
        data = read_small_file(path, MAX_SIZE + 1)
        if len(data) > MAX_SIZE:
            raise ValueError(f"has more than {MAX_SIZE} bytes")
        return data.decode("ascii")
    except UnicodeDecodeError as error:  # its text would show bytes of the file
        raise ConfigError([Problem(key, "is not ASCII text", path)]) from error
    except (OSError, ValueError) as error:
        raise ConfigError([Problem(key, str(error), path)]) from error


def parse_key_file(text: str, path: str | None, key: str = SEALING) -> KeyRing:
    """The ring of a key file. Raises ConfigError, which shows no secret."""
    try:
        return parse_keys(text, path or "sealing keys")
    except ValueError as error:
        raise ConfigError([Problem(key, str(error), path)]) from error
