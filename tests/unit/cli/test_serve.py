"""Mistakes in the arguments of `mcppool serve`, and its files, are named with what is allowed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcppool.cli.main import main
from mcppool.spec.toml import MAX_BYTES


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--listen", "nonsense", "http://a/mcp"], 'mcppool serve: --listen: "nonsense" is not an address'),
        (["--listen", "127.0.0.1:99999", "http://a/mcp"], "allowed: HOST:PORT, such as 127.0.0.1:8080"),
        (["--workers", "x", "http://a/mcp"], 'mcppool serve: --workers: "x" is not allowed; allowed: a whole number'),
        (["nonsense"], 'mcppool serve: URL: "nonsense" does not begin with http:// or https://; allowed: a URL'),
        (["--replicas", "999", "--", "x"], "mcppool serve: --replicas: 999 is not allowed; allowed: a whole"),
        (["--env", "1=2", "--", "x"], "mcppool serve: --env: "),
        (["--config", "{folder}/none.toml"], "{folder}/none.toml: cannot be read: No such file or directory"),
        (["--config", "{folder}"], "{folder}: cannot be read: Is a directory"),
        (["--config", "{folder}/pipe"], "{folder}/pipe: cannot be read: Not a regular file"),
        (["--config", "{folder}/pipe", "--workers", "2"], "{folder}/pipe: cannot be read: Not a regular file"),
        (["--config", "{folder}/large.toml"], "{folder}/large.toml: is larger than 16 MiB"),
        (["--config", "{folder}/bad.toml"], "{folder}/bad.toml:1:8: is not TOML: expected ']]'"),
        (["--config", "{folder}/unknown.toml"], "{folder}/unknown.toml:3: pools[0].endpoint: unknown key"),
        (["--config", "{folder}/unknown.toml"], 'did you mean "endpoints"?'),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_argument(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.toml").write_text("[[pools]\n")
    os.mkfifo(tmp_path / "pipe")  # as in `--config <(envsubst < pools.toml)`: it would be read only once
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    (tmp_path / "unknown.toml").write_text('[[pools]]\nname = "a"\nendpoint = ["http://a/mcp"]\n')
    assert main(["serve", *(argument.format(folder=tmp_path) for argument in arguments)]) == 1
    assert told.format(folder=tmp_path) in capsys.readouterr().err


def test_a_mistake_of_a_variable_is_named_by_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MCPPOOL_LISTEN", "nonsense")
    assert main(["serve", "http://a/mcp"]) == 1
    assert 'MCPPOOL_LISTEN: "nonsense" is not an address' in capsys.readouterr().err


def test_a_file_in_place_of_a_url_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "pools.toml"
    path.write_text("")
    with pytest.raises(SystemExit, match="is a file:  mcppool serve --config "):
        main(["serve", str(path)])


def test_variables_without_effect_beside_the_arguments_are_ignored(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MCPPOOL_CONFIG", "/none.toml")
    monkeypatch.setenv("MCPPOOL_REPLICAS", "7")
    monkeypatch.setenv("MCPPOOL_ENV", "A=1")
    assert main(["serve", "nonsense"]) == 1  # and not: give URLs or --config
    assert 'URL: "nonsense"' in capsys.readouterr().err
    monkeypatch.setenv("MCPPOOL_NO_AUTH", "true")
    assert main(["serve"]) == 1
    assert "/none.toml: cannot be read" in capsys.readouterr().err
