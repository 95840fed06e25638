"""Configuration files that change, as editors, operators and accidents change them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcppool.discovery.file import FileSource
from mcppool.discovery.static import FixedSource
from tests.unit.discovery.recorder import Recorder, port, snapshot, text, watched

INTERVAL = 0.01


def toml(number: int) -> str:
    return f'[[pools]]\nname = "search"\nendpoints = ["http://127.0.0.1:{number}/mcp"]\n'


def write(path: Path, content: str | bytes) -> Path:
    """As careless programs write: the same file, emptied first."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def remove(path: Path) -> None:
    path.unlink()


def time_stamp(path: Path) -> int:
    return path.stat().st_mtime_ns


def replace(path: Path, content: str) -> None:
    """As careful programs write: a new file, renamed over the old one."""
    temporary = path.with_name(".new")
    temporary.write_text(content)
    temporary.rename(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "pools.toml", toml(1))


def last_port(recorder: Recorder) -> int:
    return port(recorder.published[-1])


async def test_the_command_lines_configuration_is_published_once() -> None:
    async with watched(FixedSource(snapshot(1))) as recorder:
        await recorder.until(1)


async def test_the_file_is_published_before_anything_is_waited_for(path: Path) -> None:
    async with watched(FileSource(path, interval=3600)) as recorder:
        await recorder.until(1)
        assert last_port(recorder) == 1


async def test_a_file_that_is_written_over_takes_effect(path: Path) -> None:
    async with watched(FileSource(path, INTERVAL)) as recorder:
        await recorder.until(1)
        write(path, toml(2))
        await recorder.until(2)
        assert last_port(recorder) == 2


async def test_a_file_that_is_replaced_takes_effect(path: Path) -> None:
    async with watched(FileSource(path, INTERVAL)) as recorder:
        await recorder.until(1)
        replace(path, toml(2))
        await recorder.until(2)


async def test_two_writes_of_one_length_and_time_stamp_are_both_seen(path: Path) -> None:
    async with watched(FileSource(path, INTERVAL)) as recorder:
        await recorder.until(1)
        write(path, toml(2))
        stamp = time_stamp(path)
        await recorder.until(2)
        with path.open("r+") as file:
            file.write(toml(3))
        os.utime(path, ns=(stamp, stamp))
        await recorder.until(3)
        assert last_port(recorder) == 3


async def test_a_comment_or_a_touch_is_no_new_configuration(path: Path) -> None:
    async with watched(FileSource(path, INTERVAL)) as recorder:
        await recorder.until(1)
        write(path, f"# said in other words\n{toml(1)}")
        os.utime(path, ns=(1, 1))
        write(path, toml(1))
        replace(path, toml(2))
        await recorder.until(2)


async def test_an_invalid_edit_is_refused_once_and_mended_by_the_next_one(path: Path) -> None:
    async with watched(FileSource(path, INTERVAL)) as recorder:
        await recorder.until(1)
        write(path, f"{toml(2)}\nunheard_of = 1\n")
        await recorder.until(1, 1)
        assert "pools.toml:" in str(recorder.refused[0])
        assert "unheard_of" in str(recorder.refused[0])
        write(path, toml(2))
        await recorder.until(2, 1)


async def test_going_back_to_the_configuration_in_force_ends_a_refusal(path: Path) -> None:
    async with watched(FileSource(path, INTERVAL)) as recorder:
        await recorder.until(1)
        write(path, "[[pools")
        await recorder.until(1, 1)
        write(path, toml(1))
        await recorder.until(2, 1)


async def test_a_half_written_file_is_refused_and_read_again_when_it_is_whole(path: Path) -> None:
    async with watched(FileSource(path, INTERVAL)) as recorder:
        await recorder.until(1)
        with path.open("w") as file:
            file.write(toml(2)[:-10])
            file.flush()
            await recorder.until(1, 1)
            file.write(toml(2)[-10:])
        await recorder.until(2, 1)
        assert last_port(recorder) == 2


async def test_a_file_that_vanishes_is_refused_once_and_taken_when_it_returns(path: Path) -> None:
    async with watched(FileSource(path, INTERVAL)) as recorder:
        await recorder.until(1)
        remove(path)
        await recorder.until(1, 1)
        assert "cannot be read: No such file" in str(recorder.refused[0])
        write(path, toml(2))
        await recorder.until(2, 1)


async def test_a_file_that_is_not_there_at_the_start_is_refused_and_taken_when_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "later.toml"
    async with watched(FileSource(path, INTERVAL)) as recorder:
        await recorder.until(0, 1)
        assert "later.toml: cannot be read: No such file" in str(recorder.refused[0])
        write(path, toml(1))
        await recorder.until(1, 1)


async def test_a_reload_reports_a_file_that_has_not_changed(path: Path) -> None:
    source = FileSource(path, interval=3600)
    async with watched(source) as recorder:
        await recorder.until(1)
        source.reload()
        await recorder.until(2)
        write(path, "nonsense")
        source.reload()
        await recorder.until(2, 1)
        source.reload()
        await recorder.until(2, 2)


async def test_the_command_line_wins_over_the_file_and_its_edits(path: Path) -> None:
    source = FileSource(path, INTERVAL, flags={"listener": {"listen": "127.0.0.1:7"}})
    async with watched(source) as recorder:
        await recorder.until(1)
        replace(path, '[listener]\nlisten = "127.0.0.1:8"\n' + toml(2))
        await recorder.until(2)
        assert [each.listener.listen for each in recorder.published] == ["127.0.0.1:7", "127.0.0.1:7"]
        assert last_port(recorder) == 2


async def test_a_file_that_is_not_text_is_refused(path: Path) -> None:
    write(path, b"name = '\xff'")
    async with watched(FileSource(path, INTERVAL)) as recorder:
        await recorder.until(0, 1)
        assert "is not UTF-8" in str(recorder.refused[0])


async def test_a_mounted_config_map_is_swapped_by_its_symbolic_link(tmp_path: Path) -> None:
    def mount(revision: str, number: int) -> None:
        (tmp_path / revision).mkdir()
        (tmp_path / revision / "snapshot.json").write_text(text(number))
        (tmp_path / "..new").symlink_to(revision)
        (tmp_path / "..new").rename(tmp_path / "..data")

    mount("..2026_01", 1)
    (tmp_path / "snapshot.json").symlink_to("..data/snapshot.json")
    async with watched(FileSource(tmp_path / "snapshot.json", INTERVAL)) as recorder:
        await recorder.until(1)
        mount("..2026_02", 2)
        await recorder.until(2)
        assert last_port(recorder) == 2


async def test_a_changed_file_that_the_configuration_refers_to_takes_effect(path: Path, tmp_path: Path) -> None:
    number = tmp_path / "port"
    write(number, "1\n")
    write(path, toml(1).replace(":1/", f":${{file:{number}}}/"))
    async with watched(FileSource(path, INTERVAL)) as recorder:
        await recorder.until(1)
        assert last_port(recorder) == 1
        replace(number, "2\n")
        await recorder.until(2)
        assert last_port(recorder) == 2


async def test_a_missing_file_that_the_configuration_refers_to_is_awaited(path: Path, tmp_path: Path) -> None:
    write(path, toml(1).replace(":1/", f":${{file:{tmp_path / 'port'}}}/"))
    async with watched(FileSource(path, INTERVAL)) as recorder:
        await recorder.until(0, refused=1)
        write(tmp_path / "port", "3")
        await recorder.until(1, refused=1)
        assert last_port(recorder) == 3
