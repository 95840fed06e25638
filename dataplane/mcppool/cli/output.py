"""The form of a command's output: text for people, JSON for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from typing import Any, Final

TEXT: Final = "text"
JSON: Final = "json"


def add_output_option(parser: argparse.ArgumentParser, default: str = TEXT, *, alias: bool = False) -> None:
    """Declare `-o`; with `alias`, also `--json`, its older name."""
    parser.add_argument(
        "-o",
        "--output",
        choices=(TEXT, JSON),
        default=default,
        help=f"form of the output: text or json (default {default})",
    )
    if alias:
        parser.add_argument("--json", dest="output", action="store_const", const=JSON, help="the same as -o json")


def wants_json(args: argparse.Namespace) -> bool:
    """Whether the output is for a program."""
    return bool(args.output == JSON)


def print_json(document: Any) -> None:
    """Print a document as indented JSON."""
    print(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def show(args: argparse.Namespace, document: Any, lines: Iterable[str]) -> None:
    """Print a document as JSON, or the lines that people read in its place."""
    if wants_json(args):
        print_json(document)
    else:
        for line in lines:
            print(line)
