"""Small files: their bytes, or an error, and never a wait."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcppool.small_file import read_small_file


def test_no_more_bytes_than_asked_for_are_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"0123456789")
    assert read_small_file(str(file), 4) == b"0123"
    assert read_small_file(str(file), 100) == b"0123456789"


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "nothing"])
def test_what_is_no_regular_file_is_an_error_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r"key'$"):
        read_small_file(str(path), 100)
    assert len(os.listdir("/proc/self/fd")) == before
