"""`mcppool prompts`: the prompts of a server."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mcppool.cli.contents import prompt_text
from mcppool.cli.lists import first_line, named, no_such, whole_list
from mcppool.cli.output import add_output_option, show
from mcppool.cli.parsing import Commands, Parser
from mcppool.cli.servers import (
    OK,
    STATUSES,
    TARGET,
    WrongUsage,
    add_server_argument,
    add_server_options,
    complain,
    note,
    talk,
)
from mcppool.cli.terminal import table
from mcppool.cli.tool_arguments import unknown_names

if TYPE_CHECKING:
    from mcppool.cli.progress import Progress
    from mcppool.client.pool import Pool


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "prompts",
        help="list the prompts of a server, or fill one in",
        usage="%(prog)s URL [NAME [ARGUMENT=TEXT ...]] [options]  |  %(prog)s [NAME [ARGUMENT=TEXT ...]] [options] "
        "-- COMMAND [ARGUMENT ...]",
        description=f"List the prompts of a server, or print the messages of one. {TARGET} {STATUSES}",
        examples=(
            "mcppool prompts http://127.0.0.1:8080/mcp",
            "mcppool prompts http://127.0.0.1:8080/mcp greet name=Ann",
        ),
    )
    add_server_argument(parser)
    parser.add_argument("name", metavar="NAME", nargs="?", help="fill in this prompt")
    parser.add_argument("arguments", metavar="ARGUMENT=TEXT", nargs="*", help="arguments of the prompt")
    add_output_option(parser)
    add_server_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the prompts, or the messages of one, and return the exit status."""
    if args.local:
        words = [word for word in (args.url, args.name, *args.arguments) if word is not None]
        args.url, args.name, args.arguments = None, words[0] if words else None, words[1:]

    async def work(pool: Pool, _progress: Progress) -> int:
        if args.name is None:
            prompts = await whole_list(pool, "prompts/list", "prompts")
            rows = table(("NAME", "ARGUMENTS", "DESCRIPTION"), [*map(_row, prompts)])
            show(args, {"prompts": prompts}, rows if prompts else ["The server has no prompts."])
            return OK
        texts = _texts(args.arguments)
        if texts:
            prompts = await whole_list(pool, "prompts/list", "prompts")
            known = named(prompts, args.name)
            if known is None:
                return complain(args, no_such("prompt", args.name, prompts))
            for sentence in unknown_names(texts, [str(one.get("name")) for one in _arguments(known)], "the prompt"):
                note(args, sentence)
        prompt = await pool.get_prompt(args.name, texts, timeout=args.timeout)
        result = prompt.model_dump(mode="json", by_alias=True, exclude_unset=True)
        show(args, result, [prompt_text(result)])
        return OK

    return talk("prompts", args, work)


def _texts(words: Sequence[str]) -> dict[str, str]:
    """The arguments of a prompt, which are strings all. Raises WrongUsage."""
    texts = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise WrongUsage(f"ARGUMENT=TEXT: {word!r} is not such as name=Ann")
        texts[name] = text
    return texts


def _row(prompt: Mapping[str, Any]) -> tuple[str, ...]:
    return str(prompt.get("name")), " ".join(map(_shown, _arguments(prompt))), first_line(prompt.get("description"))


def _shown(argument: Mapping[str, Any]) -> str:
    """The name of an argument, in brackets if it is optional."""
    return str(argument.get("name")) if argument.get("required") else f"[{argument.get('name')}]"


def _arguments(prompt: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The arguments of a prompt."""
    arguments = prompt.get("arguments")
    yield from (one for one in (arguments if isinstance(arguments, list) else ()) if isinstance(one, dict))
