"""The command line: help with examples, suggestions, and an environment variable for each flag."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

import pytest

from mcppool.cli.commands import command_parser
from mcppool.cli.main import main
from mcppool.cli.parsing import Parser


def commands(parser: Parser | None = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Parser]]:
    """The command and all its subcommands, with their names."""
    parser = parser or command_parser()
    yield path, parser
    for name, inner in parser.subcommands().items():
        yield from commands(inner, (*path, name))


COMMANDS = list(commands())
FLAGS = [(path, action.dest, name) for path, parser in COMMANDS for action, name in parser.variables()]
TEXTS = {"port": "17", "count": "3", "seconds": "7.5", "_workers": "2", "_period": "2"}
"""A text for each type of argument; for the others, any text will do."""
named = pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=lambda path: " ".join(path) or "mcppool")
each_flag = pytest.mark.parametrize(
    ("path", "argument", "name"),
    FLAGS,
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for _, _, name in FLAGS:
        monkeypatch.delenv(name, raising=False)


def action_of(path: tuple[str, ...], argument: str) -> tuple[Parser, argparse.Action]:
    parser = dict(COMMANDS)[path]
    return parser, next(action for action, _ in parser.variables() if action.dest == argument)


def text_for(action: argparse.Action, *, other: bool = False) -> str:
    """A valid value; `other`: a second one."""
    if action.choices:
        return str(list(action.choices)[0 if other else -1])
    if action.nargs == 0:
        return "true"
    text = TEXTS.get(getattr(action.type, "__name__", ""), "x")
    return text if not other else "9" if text.isdecimal() or "." in text else "y"


def read(path: tuple[str, ...], *arguments: str) -> argparse.Namespace:
    """The arguments of a subcommand, with something for each that it requires."""
    positionals = [a for a in dict(COMMANDS)[path]._actions if not a.option_strings and a.required]
    fillers = [str(next(iter(a.choices))) if a.choices else "x" for a in positionals]
    return command_parser().parse_args([*path, *arguments, *fillers])


def test_the_command_without_arguments_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == command_parser().format_help()


def test_a_command_without_its_subcommand_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys"]) == 0
    assert "mcppool keys list keys.toml" in capsys.readouterr().out


@named
def test_every_help_has_examples_that_can_be_typed(path: tuple[str, ...]) -> None:
    parser = dict(COMMANDS)[path]
    head, *examples = (parser.epilog or "").splitlines()
    assert head == "Examples:"
    assert examples
    for example in examples:
        program, *words = shlex.split(example.partition(" > ")[0].partition(" | ")[0])
        assert program in ("mcppool", "source", "eval"), example
        if program == "mcppool":
            assert tuple(words[: len(path)]) == path
            command_parser().parse_args(words[: words.index("--")] if "--" in words else words)


@named
def test_every_flag_has_a_variable_that_the_help_shows(path: tuple[str, ...]) -> None:
    parser = dict(COMMANDS)[path]
    text = " ".join(parser.format_help().split())
    flags = [flag for flag in parser.flags() if flag.startswith("--") and flag not in ("--help", "--version")]
    dests = {action.dest for action in parser._actions for flag in flags if flag in action.option_strings}
    shown = {action.dest: name for action, name in parser.variables()}
    assert dests <= shown.keys()
    assert all(name.startswith("MCPPOOL_") and f"[{name}]" in text for name in shown.values())


@each_flag
def test_the_environment_gives_the_value_of_a_flag(
    path: tuple[str, ...], argument: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, action = action_of(path, argument)
    text = text_for(action)
    flag = [] if not action.option_strings else [action.option_strings[-1], *([] if action.nargs == 0 else [text])]
    by_flag = read(path, *flag) if flag else argparse.Namespace(**{argument: text})
    monkeypatch.setenv(name, text)
    by_variable = read(path)
    assert getattr(by_variable, argument) == getattr(by_flag, argument)
    assert argument in by_variable.from_environment
    assert argument not in (read(path, *flag).from_environment if flag else ())


@each_flag
def test_a_flag_wins_over_its_variable(
    path: tuple[str, ...], argument: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, action = action_of(path, argument)
    if action.nargs == 0 or not action.option_strings:
        flag = [] if not action.option_strings else [action.option_strings[-1]]
        arguments = flag or ["y"]
        expected = action.const if flag else "y"
        monkeypatch.setenv(name, "0" if flag else "x")
        assert getattr(read(path, *arguments), argument) == expected
        return
    other = text_for(action, other=True)
    expected = getattr(read(path, action.option_strings[-1], other), argument)
    monkeypatch.setenv(name, text_for(action))
    assert getattr(read(path, action.option_strings[-1], other), argument) == expected


@each_flag
def test_an_empty_variable_is_not_set_and_one_of_kubernetes_is_ignored(
    path: tuple[str, ...], argument: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = getattr(read(path), argument)
    for text in ("", "tcp://10.0.0.1:80"):
        monkeypatch.setenv(name, text)
        assert getattr(read(path), argument) == default


@pytest.mark.parametrize(
    ("name", "text", "command", "told"),
    [
        ("MCPPOOL_ADMIN_PORT", "70000", ["serve"], "MCPPOOL_ADMIN_PORT: '70000' is not a port, a whole number from 0"),
        ("MCPPOOL_REPLICAS", "0", ["serve"], "MCPPOOL_REPLICAS: '0' is not a whole number from 1"),
        ("MCPPOOL_NO_AUTH", "maybe", ["serve"], "MCPPOOL_NO_AUTH: 'maybe' is not allowed; allowed: 1, true"),
        ("MCPPOOL_OUTPUT", "xml", ["status"], "MCPPOOL_OUTPUT: 'xml' is not allowed; allowed: text, json"),
        ("MCPPOOL_WATCH", "soon", ["status"], "MCPPOOL_WATCH: 'soon' is not a number of seconds from 0.1 to 3600"),
        ("MCPPOOL_TIMEOUT", "-1", ["pin", "http://a/mcp"], "MCPPOOL_TIMEOUT: '-1' is not a number of seconds"),
    ],
)
def test_a_bad_variable_is_named_with_its_value(
    name: str, text: str, command: list[str], told: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv(name, text)
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_a_variable_may_have_several_values_one_on_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCPPOOL_ENV", "A=1,2\nB")
    assert read(("serve",)).env == ["A=1,2", "B"]
    assert read(("serve",), "--env", "C").env == ["C"]


def test_two_variables_that_exclude_each_other_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MCPPOOL_CONFIG", "a.toml")
    monkeypatch.setenv("MCPPOOL_KUBERNETES", "a/b")
    with pytest.raises(SystemExit):
        read(("serve",))
    assert "MCPPOOL_CONFIG and MCPPOOL_KUBERNETES exclude each other" in capsys.readouterr().err
    assert read(("serve",), "--config", "b.toml").kubernetes is None


def test_a_flag_wins_over_the_variable_of_one_that_it_excludes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCPPOOL_CONFIG", "a.toml")
    args = read(("serve",), "--kubernetes", "a/b")
    assert (args.config, args.kubernetes) == (None, "a/b")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["stauts"], "mcppool: COMMAND: 'stauts' is not a command; did you mean status?"),
        (["zzz"], "mcppool: COMMAND: 'zzz' is not a command; allowed: "),
        (["keys", "ad"], "mcppool keys: ACTION: 'ad' is not a command; did you mean add?"),
        (["serve", "--lisen", "a:1"], "mcppool serve: unknown flag --lisen; did you mean --listen?"),
        (["serve", "--admin-prt=1"], "mcppool serve: unknown flag --admin-prt=1; did you mean --admin-port?"),
        (["serve", "--admin-port", "http"], "mcppool serve: --admin-port: 'http' is not a port, a whole number from 0"),
        (["serve", "--replicas", "none"], "mcppool serve: --replicas: 'none' is not a whole number from 1"),
        (["serve", "--workers"], "mcppool serve: --workers: expected one argument"),
        (["config", "a", "b"], "mcppool config: 'b' is one argument too many"),
        (["schema", "jsn"], "'jsn' is not allowed; did you mean json?"),
        (["status", "-o", "xml"], "-o/--output: 'xml' is not allowed; allowed: text, json"),
        (["call", "http://a/mcp", "x", "--timeout", "nan"], "--timeout: 'nan' is not a number of seconds, more than 0"),
    ],
)
def test_a_mistyped_argument_is_named_with_what_is_near_or_allowed(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    first, second = output.err.splitlines()
    assert told in first
    assert second.endswith(" --help` shows the arguments.")


@pytest.mark.parametrize("at", range(4))
def test_a_flag_may_stand_anywhere(at: int) -> None:
    words = ["http://a/mcp", "search", "q=tea"]
    args = command_parser().parse_args(["call", *words[:at], "--pool", "x", *words[at:]])
    assert [args.url, args.tool, *args.arguments, args.pool] == [*words, "x"]


@pytest.mark.parametrize("words", [("--nope", "http://a/mcp"), ("http://a/mcp", "b", "c", "--nope"), ("--nope=1",)])
def test_an_unknown_flag_is_named_wherever_it_stands(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command_parser().parse_args(["tools", *words])
    assert "unknown flag --nope" in capsys.readouterr().err


@named
def test_the_help_is_the_same_when_it_is_asked_for(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_parser().parse_args([*path, "--help"])
    assert capsys.readouterr().out == dict(COMMANDS)[path].format_help()
