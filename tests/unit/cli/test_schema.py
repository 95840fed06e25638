"""`mcppool schema`: prints the generated texts, or writes them to their place."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from mcppool.cli import reasons, schema
from mcppool.cli.commands import command_parser
from mcppool.cli.main import main
from mcppool.cli.reference import insert_commands
from mcppool.spec.generate.crd import crd_yaml
from mcppool.spec.generate.docs import BEGIN, END
from mcppool.wire.errors import Reason
from tests.requirements import ROOT
from tests.unit.cli.running import run_command

run = partial(run_command, schema)


def test_the_crd_the_json_schema_and_the_tables_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("crd") == 0
    assert capsys.readouterr().out == crd_yaml()
    assert run("json") == 0
    assert json.loads(capsys.readouterr().out)["title"] == "mcppool configuration"
    assert run("docs") == 0
    assert "| `max_connections` |" in capsys.readouterr().out


def test_a_file_is_written_and_a_page_keeps_the_text_around_its_tables(tmp_path: Path) -> None:
    crd, page = tmp_path / "crd.yaml", tmp_path / "page.md"
    assert run("crd", "--into", str(crd)) == 0
    assert crd.read_text() == crd_yaml()
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert run("docs", "--into", str(page)) == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "| `max_connections` |" in text
    assert "\nold\n" not in text


def test_every_reason_has_a_row_with_its_meaning_and_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("errors") == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| `")]
    assert {row[0].strip("| `") for row in rows} == set(Reason)
    assert all(len(row) == 4 and row[1].isdigit() and len(row[3]) > 10 for row in rows)


def test_the_documented_errors_are_the_generated_ones() -> None:
    page = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    assert page == reasons.insert_reasons(page), "run `make generate`"


@pytest.mark.parametrize("kind", ["docs", "errors"])
def test_a_page_without_marks_is_left_alone(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    assert run(kind, "--into", str(page)) == 2
    assert page.read_text() == "nothing"
    assert "no marks" in capsys.readouterr().err


def test_the_documented_commands_are_the_generated_ones() -> None:
    page = (ROOT / "docs/reference/command.md").read_text(encoding="utf-8")
    assert page == insert_commands(page, command_parser()), "run `make generate`"


def test_the_reference_of_the_command_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "commands"]) == 0
    text = capsys.readouterr().out
    assert "## `mcppool keys add`" in text
    assert "| `--listen HOST:PORT` | `MCPPOOL_LISTEN` |" in text
