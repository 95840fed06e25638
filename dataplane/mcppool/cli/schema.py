"""`mcppool schema crd | json | docs | errors | metrics | commands`: texts that are generated from the code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from mcppool.cli.parsing import Commands, Parser


def add_parser(subparsers: Commands[Parser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "schema",
        help="print the CRD, the JSON schema of configuration files, or parts of the documentation",
        description="Print a document that is generated from the configuration models, the errors, the metrics or "
        "the command. Exit status 0: done; 2: the file cannot be written.",
        examples=(
            "mcppool schema json --into pools.schema.json",
            "mcppool schema crd",
        ),
    )
    parser.add_argument(
        "kind",
        choices=("crd", "json", "docs", "errors", "metrics", "commands"),
        help="the CRD (YAML), the JSON schema, the tables of the configuration, the table of errors or of metrics, "
        "the reference of this command (Markdown)",
    )
    parser.add_argument(
        "--into", metavar="FILE", type=Path, help="write to this file; tables replace the tables in the page"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print or write the schema and return the exit status."""
    # Only this subcommand needs the generators.
    from mcppool.cli.families import families_table, insert_families
    from mcppool.cli.reasons import insert_reasons, reasons_table
    from mcppool.cli.reference import commands_reference, insert_commands
    from mcppool.spec.generate.crd import crd_yaml
    from mcppool.spec.generate.docs import docs_tables, insert_tables
    from mcppool.spec.generate.json_schema import file_schema

    match args.kind:
        case "crd":
            text = crd_yaml()
        case "json":
            text = json.dumps(file_schema(), indent=2, ensure_ascii=False) + "\n"
        case "docs":
            text = docs_tables() + "\n"
        case "errors":
            text = reasons_table() + "\n"
        case "commands":
            text = commands_reference(args.parser) + "\n"
        case _:
            text = families_table() + "\n"
    if args.into is None:
        sys.stdout.write(text)
        return 0
    try:
        inserts: dict[str, Callable[[str], str]] = {
            "commands": lambda page: insert_commands(page, args.parser),
            "docs": insert_tables,
            "errors": insert_reasons,
            "metrics": insert_families,
        }
        if (insert := inserts.get(args.kind)) is not None:
            text = insert(args.into.read_text(encoding="utf-8"))
        args.into.write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"mcppool schema: --into: {args.into}: {error.strerror}", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"mcppool schema: --into: {args.into}: {error}", file=sys.stderr)
        return 2
    return 0
