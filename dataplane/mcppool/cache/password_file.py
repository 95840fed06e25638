"""The password of a store, in a file."""

from __future__ import annotations

from typing import Final

from mcppool.small_file import read_small_file

MAX_FILE: Final = 64 << 10
"""Bytes that are read of the file; tokens that serve as passwords have a few KB."""


class UnreadablePassword(OSError):
    """The file cannot be read; the text names its key in the configuration. `why` is the reason alone."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"cache.{key} cannot be read: {why}")
        self.why = why


def read_password(key: str, file: str) -> str:
    """The password in the file that `key` names, without white space around it. Raises UnreadablePassword."""
    try:
        return read_small_file(file, MAX_FILE).decode().strip()
    except UnicodeDecodeError as error:
        raise UnreadablePassword(key, f"{file} is not UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise UnreadablePassword(key, str(error)) from None
