"""Files that others are writing: `tests.written_lines`."""

from __future__ import annotations

from pathlib import Path

from tests.written_lines import written_json, written_lines


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert written_lines(log) == []
    log.write_text('{"n": 1}\n{"n": "ü"}\n{"n": 3')
    assert written_json(log) == [{"n": 1}, {"n": "ü"}]
    log.write_bytes("ü".encode()[:1])
    assert written_lines(log) == []
