"""A watched file: its changes hold, and what cannot be used is reported once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcppool import watched_file
from mcppool.watched_file import FileValue, WatchedFile
from tests.waiting import until


def content(path: str) -> str:
    return Path(path).read_text()


async def test_changes_hold_and_each_fault_is_reported_once_until_the_file_is_good_again(tmp_path: Path) -> None:
    file = tmp_path / "numbers"
    file.write_text("1")
    changes: list[tuple[int, int]] = []
    refused: list[str] = []
    watched = WatchedFile(
        str(file), content, int, kind="numbers", on_change=lambda *change: changes.append(change),
        on_refusal=refused.append,
    )  # fmt: skip
    for text in ("2", "x", "x", "2", "x", None, None, "2", "3"):
        file.unlink(missing_ok=True) if text is None else file.write_text(text)
        watched.look()
    assert changes == [(1, 2), (2, 3)]
    assert watched.value == 3
    assert [("No such file" in problem, "'x'" in problem) for problem in refused] == [
        (False, True), (False, True), (True, False),
    ]  # fmt: skip
    await watched.close()


async def test_a_file_is_looked_at_until_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_file, "INTERVAL", 0.001)
    file = tmp_path / "numbers"
    file.write_text("1")
    watched = WatchedFile(str(file), content, int, kind="n", on_change=lambda *_: None, on_refusal=lambda _: None)
    file.write_text("2")
    await until(lambda: watched.value == 2, "the change holds")
    await watched.close()
    file.write_text("x")
    with pytest.raises(ValueError, match="x"):
        WatchedFile(str(file), content, int, kind="n", on_change=lambda *_: None, on_refusal=lambda _: None)


def test_a_look_tells_whether_the_value_changed(tmp_path: Path) -> None:
    file = tmp_path / "numbers"
    file.write_text("1")
    refused: list[str] = []
    value = FileValue(str(file), content, int, refused.append)
    looks = []
    for text in ("1", "2", "x", "2", " 2"):
        file.write_text(text)
        looks.append((value.look(), value.value, len(refused)))
    assert looks == [(False, 1, 0), (True, 2, 0), (False, 2, 1), (False, 2, 1), (True, 2, 1)]
