"""The password of a store, in a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcppool.cache.password_file import UnreadablePassword, read_password


def test_white_space_around_a_password_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes("\n gehört mir \r\n".encode())
    assert read_password("sql_password_file", str(file)) == "gehört mir"


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe", "not UTF-8"])
def test_an_unreadable_file_is_reported_with_its_key(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "password"
    match kind:
        case "directory":
            file.mkdir()
        case "pipe":
            os.mkfifo(file)
        case "not UTF-8":
            file.write_bytes(b"secret\xff")
    with pytest.raises(UnreadablePassword) as refused:
        read_password("sql_password_file", str(file))
    said = str(refused.value)
    assert said.startswith("cache.sql_password_file cannot be read: ")
    assert str(file) in said
    assert "secret" not in said
