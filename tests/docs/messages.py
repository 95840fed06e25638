"""The messages of the product that a user may meet: log events, reasons of failed calls, reasons of conditions, and the
refusals of the command. They are collected from the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from mcppool.wire.errors import Reason
from tests.requirements import ROOT

DATAPLANE, OPERATOR = ROOT / "dataplane/mcppool", ROOT / "operator/mcppool_operator"
LEVELS = {"event", "info", "warning", "error", "critical", "exception"}


def _trees(*folders: Path) -> Iterator[tuple[Path, ast.Module]]:
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def _calls(*folders: Path) -> Iterator[tuple[str, ast.Call]]:
    """The calls of named functions and methods, with that name."""
    for _, tree in _trees(*folders):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                yield node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id, node


def _texts(node: ast.expr) -> Iterator[str]:
    """The texts that an argument can be: a constant, or both sides of a choice."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*_texts(node.body), *_texts(node.orelse))


def log_events(*folders: Path) -> set[str]:
    """The events that are logged at level info or above."""
    found = set()
    for name, call in _calls(*folders):
        if name in LEVELS and call.args:
            found |= {text for text in _texts(call.args[0]) if re.fullmatch(r"[a-z]+(_[a-z]+)*", text)}
        elif name == "_Subject":  # of the audit log, which is rendered from a structure
            found.update(_texts(call.args[0]))
    return found


def events_of_local_servers() -> set[str]:
    """The events of programs, which a part of the gateway names and another one logs after `server_`."""
    found = set()
    for name, call in _calls(DATAPLANE / "upstream/stdio"):
        if name in ("_on_event", "_tell"):
            found |= {text for text in _texts(call.args[0]) if text.isalpha()}
        elif name == "partial" and ast.unparse(call.args[0]) == "on_event":
            found |= {text for argument in call.args[1:] for text in _texts(argument) if text.isalpha()}
    return {f"server_{what}" for what in found}


def conditions() -> set[str]:
    """The reasons of conditions of a McpServerPool."""
    found = set()
    for name, call in _calls(OPERATOR):
        if name in ("Condition", "Problem", "Waiting"):
            texts = [text for argument in call.args for text in _texts(argument)]
            found |= {text for text in texts if re.fullmatch(r"([A-Z][a-z]+){2,}", text)}
    return found


def reasons() -> set[str]:
    """The reasons of failed calls."""
    return {str(reason) for reason in Reason}


def refusals() -> set[str]:
    """The constant part of each sentence with which the command refuses its arguments."""
    found = set()
    for name, call in _calls(DATAPLANE / "cli"):
        if name == "SystemExit" and call.args:
            found |= {part for part in _parts(call.args[0]) if len(part.split()) > 2}
    return found


def _parts(node: ast.expr) -> list[str]:
    """The longest constant part of a text that may have values in it."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        constants = [part.value for part in node.values if isinstance(part, ast.Constant)]
        return [max((str(constant) for constant in constants), key=len, default="")]
    return []


def causes() -> set[str]:
    """The constant part of each sentence about an address that cannot be reached or listened on, and about a
    configuration that this machine cannot serve."""
    found = set()
    for node in ast.walk(ast.parse((DATAPLANE / "cli/reach.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Return) and node.value is not None:
            found |= set(_parts(node.value))
    for name, call in _calls(DATAPLANE / "gateway", DATAPLANE / "pipeline/pool"):
        if name == "Problem" and len(call.args) > 1:
            found |= set(_parts(call.args[1]))
    return {part.strip(" :,") for part in found if len(part.split()) > 1}


def health() -> set[str]:
    """The constant part of each message of a component that is not healthy, in `/health` and on the status page."""
    found = set()
    for name, call in _calls(DATAPLANE / "gateway", DATAPLANE / "workers"):
        if name == "ComponentHealth" and len(call.args) > 1 and set(_texts(call.args[0])) != {"healthy"}:
            found |= {part.strip(" :;") for part in _parts(call.args[1])}
    return {part for part in found if len(part.split()) > 1}
