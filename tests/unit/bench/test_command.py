"""What a program of `bench/` does with what it has measured."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import command, report
from bench.command import Result
from bench.processes import Failed


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    page = tmp_path / "page.md"
    page.write_text("<!-- bench:x -->\nold\n<!-- /bench:x -->\n")
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(report.write_section, "__defaults__", (page,))
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def outcome(result: Result, *, write: bool) -> int:
    return command.run("x", argparse.Namespace(write=write), lambda: result)


def test_a_result_is_printed_kept_and_written_if_it_is_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(Result("new", {"figure": 7}, more="the difference"), write=False) == 0
    assert capsys.readouterr().out == "new\n\nthe difference\n"
    assert '"figure": 7' in (folder / "x.json").read_text()
    assert "old" in (folder / "page.md").read_text()
    assert outcome(Result("new", {}), write=True) == 0
    assert (folder / "page.md").read_text() == "<!-- bench:x -->\n\nnew\n\n<!-- /bench:x -->\n"


def test_a_noisy_result_is_not_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(Result("new", {}, others=0.5), write=True) == 1
    assert "not written" in capsys.readouterr().err
    assert "old" in (folder / "page.md").read_text()


def test_a_bound_that_does_not_hold_and_a_failure_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(Result("new", {}, broken=("memory: 9 MB",)), write=False) == 1
    assert "beyond its bound: memory: 9 MB" in capsys.readouterr().err

    def failing() -> Result:
        raise Failed("no wrk")

    assert command.run("x", argparse.Namespace(write=False), failing) == 1
    assert capsys.readouterr().err == "bench: no wrk\n"
