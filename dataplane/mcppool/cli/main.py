"""`mcppool`: the command."""

from __future__ import annotations

import io
import os
import sys
from typing import Final

from mcppool.cli.candidates import candidates
from mcppool.cli.commands import command_parser

COMPLETE: Final = "__complete"


def complete(words: list[str]) -> int:
    """Print the candidates for the last word; scripts of `mcppool completion` ask for them."""
    for line in candidates(command_parser(), words):
        print(line)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand and return the process's exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == [COMPLETE]:
        return complete(argv[1:])
    own, local = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv else (argv, [])
    parser = command_parser()
    args = parser.parse_args(own)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a character that this terminal cannot show must not end a command
        sys.stdout.reconfigure(errors="backslashreplace")
    args.parser = parser  # `mcppool schema commands` describes it
    args.argv = argv  # a gateway of several processes starts each with the same arguments
    args.local = local  # a command line of another program, which argparse must not parse
    try:
        return int(args.run(args))
    except BrokenPipeError:  # the reader of the output has closed it
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (for the interpreter's own flush at its end)
        return 141
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
