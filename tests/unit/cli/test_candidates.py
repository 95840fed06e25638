"""The candidates for a word of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcppool.cli.candidates import FILES, candidates
from mcppool.cli.commands import command_parser
from mcppool.cli.parsing import Parser


def words_for(*words: str) -> list[str]:
    return [line.partition("\t")[0] for line in candidates(command_parser(), words)]


def all_parsers(parser: Parser, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Parser]:
    found = {path: parser}
    for name, inner in parser.subcommands().items():
        found |= all_parsers(inner, (*path, name))
    return found


def test_every_subcommand_and_every_flag_is_a_candidate_with_its_description() -> None:
    for path, parser in all_parsers(command_parser()).items():
        assert set(words_for(*path, "-")) == set(parser.flags())
        if parser.subcommands():
            lines = [*candidates(command_parser(), [*path, ""])]
            assert [line.partition("\t")[0] for line in lines] == [*parser.subcommands()]
            assert all("\t" in line for line in lines)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "pools.toml"
    path.write_text('[[pools]]\nname = "search"\n[[pools]]\nname = "mail"\n[[keys]]\nname = "ci"\n')
    return str(path)


def test_names_of_pools_come_from_the_file(file: str) -> None:
    assert words_for("tools", file, "--pool", "") == ["search", "mail"]
    assert words_for("tools", "--timeout", "3", file, "--pool", "s") == ["search"]
    assert words_for("tools", file, "--pool=s") == ["--pool=search"]
    assert words_for("tools", file, "--pool", "=", "s") == ["search"]  # as bash takes it apart
    assert words_for("tools", file, "--pool", "=") == ["search", "mail"]
    assert words_for("tools", "http://a/mcp", "--pool", "") == []


def test_names_of_keys_come_from_the_file(file: str) -> None:
    assert words_for("keys", "remove", file, "c") == ["ci"]


@pytest.mark.parametrize("text", [b"", b"pools = 1", b"[[pools]]\nname = 3", b"[", b"\xff", b"pools = [1]"])
def test_a_file_without_names_gives_none(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "pools.toml"
    path.write_bytes(text)
    assert words_for("tools", str(path), "--pool", "") == []
    assert words_for("tools", str(tmp_path / "none.toml"), "--pool", "") == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["tools", "-o", ""], ["text", "json"]),
        (["tools", "--output=j"], ["--output=json"]),
        (["schema", "j"], ["json"]),
        (["check", ""], [FILES]),
        (["check", "po"], [FILES]),
        (["tools", ""], [FILES]),
        (["serve", "--config", ""], [FILES]),
        (["serve", "--listen", ""], []),
        (["serve", "--", ""], [FILES]),
        (["tools", "http://a/mcp", "--json", ""], []),
        (["nonsense", ""], []),
        (["completion", "f"], ["fish"]),
        ([], [*command_parser().subcommands()]),
    ],
)
def test_values_are_candidates(words: list[str], found: list[str]) -> None:
    assert words_for(*words) == found
