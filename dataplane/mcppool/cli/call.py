"""`mcppool call`: one tool call, from the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mcppool.cli.answers import json_object
from mcppool.cli.contents import result_text
from mcppool.cli.lists import named, no_such, whole_list
from mcppool.cli.output import JSON, add_output_option, show
from mcppool.cli.parsing import Commands, Parser
from mcppool.cli.servers import (
    FAILED,
    OK,
    TARGET,
    WRONG_USAGE,
    WrongUsage,
    add_server_argument,
    add_server_options,
    complain,
    note,
    talk,
)
from mcppool.cli.tool_arguments import BadArgument, typed_arguments, unknown_arguments

if TYPE_CHECKING:
    from mcppool.cli.progress import Progress
    from mcppool.client.pool import Pool

STDIN: Final = "-"


def add_parser(subparsers: Commands[Parser]) -> None:
    """Declare the subcommand."""
    parser = subparsers.add_parser(
        "call",
        help="call a tool of a server",
        usage="%(prog)s URL TOOL [NAME=VALUE ... | JSON] [options]  |  "
        "%(prog)s TOOL [NAME=VALUE ... | JSON] [options] -- COMMAND [ARGUMENT ...]",
        description=f"Call a tool and print its result. {TARGET} Values have the types of the tool's schema: limit=5 "
        "is a number where the schema wants one. NAME:=JSON is any value. Exit status 0: a result; 1: the tool or the "
        "call failed; 2: wrong usage.",
        examples=(
            "mcppool call http://127.0.0.1:8080/mcp echo message=hello",
            'mcppool call http://127.0.0.1:8080/mcp add \'{"a": 20, "b": 22}\'',
            "mcppool call http://127.0.0.1:8080/mcp search q=tea limit=5 tags:='[\"a\"]' -o text",
            "mcppool call --token-file token https://mcp.example.com/mcp report --json @arguments.json",
            "mcppool call echo message=hello -- npx -y @modelcontextprotocol/server-everything",
        ),
    )
    add_server_argument(parser)
    parser.add_argument("tool", metavar="TOOL", nargs="?", help="the tool's name")
    parser.add_argument(
        "arguments", metavar="NAME=VALUE", nargs="*", help="arguments of the tool; or all of them as one JSON object"
    )
    parser.add_argument(
        "--json", metavar="JSON", help="arguments as a JSON object; @FILE reads a file, - standard input"
    )
    add_output_option(parser, JSON)
    add_server_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Call the tool, print its result and return the exit status."""
    if args.local:
        words = [word for word in (args.url, args.tool, *args.arguments) if word is not None]
        args.url, args.tool, args.arguments = None, words[0], words[1:]
    if args.tool is None:
        print("mcppool call: TOOL is missing: `mcppool tools URL` lists the tools", file=sys.stderr)
        return WRONG_USAGE
    try:
        given, words = _given(args)
    except WrongUsage as error:
        print(f"mcppool call: {error}", file=sys.stderr)
        return WRONG_USAGE

    async def work(pool: Pool, progress: Progress) -> int:
        arguments = given
        if words:
            tools = await whole_list(pool, "tools/list", "tools")
            tool = named(tools, args.tool)
            if tool is None:
                return complain(args, no_such("tool", args.tool, tools))
            arguments = {**given, **_typed(args, words, tool.get("inputSchema"))}
        progress.text = f"calling {args.tool}"
        answer = await pool.call_tool(args.tool, arguments, timeout=args.timeout, progress=progress.report)
        result = answer.model_dump(mode="json", by_alias=True, exclude_unset=True)
        show(args, {key: value for key, value in result.items() if value is not None}, [result_text(result)])
        return FAILED if result.get("isError") else OK

    return talk("call", args, work)


def _given(args: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The arguments that are JSON, and the words that have the types of the tool's schema. Raises WrongUsage."""
    words = list(args.arguments)
    given: dict[str, Any] = {}
    if len(words) == 1 and (words[0].startswith(("{", "[")) or "=" not in words[0]):
        given, words = _object("ARGUMENTS", words[0]), []
    if args.json is not None:
        given = {**_object("--json", args.json), **given}
    return given, words


def _object(where: str, text: str) -> dict[str, Any]:
    """The JSON object in a text, a file or standard input. Raises WrongUsage."""
    shown = text
    if where == "--json" and (text == STDIN or text.startswith("@")):
        try:
            text = sys.stdin.read() if text == STDIN else Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise WrongUsage(f"{where}: {shown!r} cannot be read: {why}") from None
    try:
        return json_object(text)
    except ValueError as error:
        raise WrongUsage(f"{where}: {shown!r} is not a JSON object: {error}") from None


def _typed(args: argparse.Namespace, words: list[str], schema: object) -> Mapping[str, Any]:
    """The arguments in words, with the types of the schema. Raises WrongUsage."""
    known = schema if isinstance(schema, dict) else {}
    try:
        arguments = typed_arguments(words, known)
    except BadArgument as error:
        raise WrongUsage(str(error)) from None
    for sentence in unknown_arguments(arguments, known):
        note(args, sentence)
    return arguments
