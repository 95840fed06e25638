"""Arguments of the command: examples in the help, suggestions for what is mistyped, defaults from the environment."""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

PREFIX: Final = "MCPPOOL_"
NONE_WANTED: Final = ("0", "false", "no", "off")
WANTED: Final = ("1", "true", "yes", "on")
_SERVICE: Final = re.compile(r"(tcp|udp|sctp)://")
"""Kubernetes sets `MCPPOOL_ADMIN_PORT=tcp://…` in pods beside a Service `mcppool-admin`: not an argument of ours."""
EXAMPLES: Final = "Examples:\n"
_NEAR: Final = 0.7

Commands = argparse._SubParsersAction
"""The subcommands of a parser."""


class _NotGiven:
    """Stands for a flag that is not on the command line while it is read."""


_NOT_GIVEN: Final = _NotGiven()


class _Help(argparse.HelpFormatter):
    """Keeps examples as they are written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith(EXAMPLES):
            return "".join(indent + line for line in text.splitlines(keepends=True))
        return super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """A command or subcommand.

    Each flag takes its value from the command line, else from its environment variable, else its default. The
    namespace has, as `from_environment`, the names of the arguments whose values are from the environment.
    """

    def __init__(self, *, examples: Iterable[str] = (), **options: Any) -> None:
        lines = "\n".join(f"  {line}" for line in examples)
        super().__init__(formatter_class=_Help, epilog=EXAMPLES + lines if lines else None, **options)
        self.names: dict[str, str] = {}
        self._mixing = False

    def variable(self, argument: str, name: str) -> None:
        """Name the environment variable of an argument, where it is not `MCPPOOL_` and the flag."""
        self.names[argument] = PREFIX + name

    def variables(self) -> Iterator[tuple[argparse.Action, str]]:
        """Each argument that the environment may give, and its variable."""
        seen: set[str] = set()
        for action in self._actions:
            if action.dest in seen or action.help == argparse.SUPPRESS or action.dest == argparse.SUPPRESS:
                continue  # an alias of another flag; an internal argument; --help and --version
            flag = next((text for text in action.option_strings if text.startswith("--")), None)
            name = self.names.get(action.dest) or (
                PREFIX + flag[2:].replace("-", "_").upper() if flag is not None else None
            )
            # argparse takes the defaults of arguments without a flag away while it looks for flags
            if name is not None and not (flag and action.default == argparse.SUPPRESS):
                seen.add(action.dest)
                yield action, name

    def flags(self) -> list[str]:
        """Every flag that the help shows."""
        return [flag for action in self._actions if action.help != argparse.SUPPRESS for flag in action.option_strings]

    def subcommands(self) -> Mapping[str, Parser]:
        """The subcommands by name; none if there are no subcommands."""
        for action in self._actions:
            if isinstance(action, Commands):
                return action.choices
        return {}

    def help(self, _args: argparse.Namespace) -> int:
        """Print the help, for a command that needs a subcommand and has none."""
        self.print_help()
        return 0

    def format_help(self) -> str:
        """The help text; each flag names its environment variable."""
        given = {action: action.help for action, _ in self.variables()}
        for action, name in self.variables():
            action.help = f"{action.help or ''} [{name}]".strip()
        try:
            return super().format_help()
        finally:
            for action, text in given.items():
                action.help = text

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Read the arguments, then the environment. Flags may stand anywhere, also between arguments without a flag."""
        if self._mixing:
            return super().parse_known_args(args, namespace)
        variables = {action: name for action, name in self.variables() if _text_of(name)}
        defaults = {action: action.default for action in variables}
        for action in variables:
            if not isinstance(action, argparse._AppendAction):  # it adds to its default, which stays the same object
                action.default = _NOT_GIVEN
        self._mixing = True  # argparse reads mixed arguments by two calls of this method
        read = super().parse_known_args if self.subcommands() else super().parse_known_intermixed_args
        try:
            parsed, unknown = read(args, namespace)
        finally:
            self._mixing = False
            for action, default in defaults.items():
                action.default = default
        if unknown:
            self.error(self._unrecognised(unknown))
        self._take_environment(parsed, variables)
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        """Print the mistake in one line, and the place of the help."""
        text = re.sub(r"^argument ((?:-\w/)?[\w-]+)", r"\1", message)
        self.exit(2, f"{self.prog}: {text}\n`{self.prog} --help` shows the arguments.\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        names = [str(choice) for choice in action.choices]
        what = "a command" if isinstance(action, Commands) else "allowed"
        words = guess(str(value), names) or f"; allowed: {', '.join(names)}"
        raise argparse.ArgumentError(action, f"{value!r} is not {what}{words}")

    def _unrecognised(self, arguments: Sequence[str]) -> str:
        first = next((argument for argument in arguments if argument.startswith("-")), arguments[0])
        if not first.startswith("-"):
            return f"{first!r} is one argument too many"
        return f"unknown flag {first}{guess(first.partition('=')[0], self.flags())}"

    def _take_environment(self, parsed: argparse.Namespace, variables: Mapping[argparse.Action, str]) -> None:
        """Fill in the arguments that the command line does not give."""
        absent = {action: name for action, name in variables.items() if self._is_absent(action, parsed)}
        for group in self._mutually_exclusive_groups:
            members = [action for action in group._group_actions if action in variables]
            left = [action for action in members if action in absent]
            given = [a for a in group._group_actions if a not in left and getattr(parsed, a.dest) != a.default]
            if given:  # the command line has chosen
                for action in left:
                    setattr(parsed, action.dest, action.default)
                    del absent[action]
            elif len(left) > 1:
                self.error(f"{absent[left[0]]} and {absent[left[1]]} exclude each other: unset one")
        for action, name in absent.items():
            setattr(parsed, action.dest, self._converted(action, name, _text_of(name)))
        parsed.from_environment = {action.dest for action in absent} | getattr(parsed, "from_environment", set())

    def _is_absent(self, action: argparse.Action, parsed: argparse.Namespace) -> bool:
        value = getattr(parsed, action.dest)
        return value is (action.default if isinstance(action, argparse._AppendAction) else _NOT_GIVEN)

    def _converted(self, action: argparse.Action, name: str, text: str) -> Any:
        """The value of an argument from the text of its variable."""
        if action.nargs == 0 or (action.nargs == argparse.OPTIONAL and action.option_strings):
            if text.lower() in WANTED:
                return True if action.const is None else action.const
            if text.lower() in NONE_WANTED:
                return action.default
            if action.nargs == 0:
                self.error(f"{name}: {text!r} is not allowed; allowed: {', '.join((*WANTED, *NONE_WANTED))}")
        several = isinstance(action, argparse._AppendAction)
        try:
            values = [self._get_value(action, line) for line in (text.split("\n") if several else [text]) if line]
            for value in values:
                self._check_value(action, value)
        except argparse.ArgumentError as error:
            self.error(f"{name}: {error.message}")
        return values if several else values[0]


def guess(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?` if a known word is near, else nothing."""
    bare = {one.lstrip("-").lower(): one for one in known}
    near = difflib.get_close_matches(word.lstrip("-").lower(), bare, n=1, cutoff=_NEAR)
    return f"; did you mean {bare[near[0]]}?" if near else ""


def port(text: str) -> int:
    """A TCP port; 0 is a free one."""
    if text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port, a whole number from 0 to 65535")


def count(text: str) -> int:
    """A number of things, at least one."""
    if text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")


def seconds(text: str) -> float:
    """A time limit in seconds: more than 0, at most a day."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if 0 < value <= 86_400:
        return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, more than 0 and at most 86400")


def _text_of(name: str) -> str:
    """The text of a variable; empty if it is not set, or Kubernetes has set it for a Service."""
    text = os.environ.get(name, "")
    return "" if _SERVICE.match(text) else text
