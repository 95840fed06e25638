"""The file of a cache in SQLite without `cache.sql_url`."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcppool.pipeline.sql import default_file


def test_a_folder_that_cannot_be_made_is_named_with_the_key_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("no folder")
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "mcppool"
    with pytest.raises(OSError, match=r"cannot be made: .*; set cache\.sql_url") as refused:
        default_file(create=True)
    assert str(folder) in str(refused.value)
    assert default_file() == folder / "cache.sqlite3"
