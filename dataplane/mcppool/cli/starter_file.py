"""The configuration file that `mcppool init` writes: short, with comments that say what to change, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mcppool.cli.first_look import Look
from mcppool.cli.terminal import printable
from mcppool.spec.sections.tools import has_own_key

COLUMN: Final = 44
"""Where comments begin."""
MANY: Final = 12
"""Upper bound on the tools that a comment names."""


@dataclass(frozen=True)
class Answers:
    """The choices of the author."""

    name: str
    listen: str
    admin_port: int
    urls: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    replicas: int = 3
    token_file: str | None = None


def name_from(looks: Sequence[Look], fallback: str = "default") -> str:
    """A name for the pool: that of the server, as far as a pool may have it."""
    given = next((look.name for look in looks if look.name), "")
    label = re.sub(r"[^a-z0-9]+", "-", given.lower()).strip("-")[:50].strip("-")
    return label or fallback


def starter_file(answers: Answers, looks: Sequence[Look], path: str) -> str:
    """The text of the file, whose name is `path`."""
    return "\n".join(_lines(answers, looks, path)) + "\n"


def differences(looks: Sequence[Look]) -> list[str]:
    """Sentences about servers that do not look like replicas of one server."""
    answered = [look for look in looks if not look.trouble]
    found = []
    if len({look.name for look in answered}) > 1:
        names = ", ".join(sorted({printable(look.name) or "(no name)" for look in answered}))
        found.append(f"the servers have different names ({names}): a pool is for replicas of one server")
    if len({look.era for look in answered}) > 1:
        found.append("some servers are stateless and some have sessions: clients of one kind cannot use the others")
    if len({frozenset(str(tool.get("name")) for tool in look.tools) for look in answered}) > 1:
        found.append("the servers have different tools")
    return found


def _lines(answers: Answers, looks: Sequence[Look], path: str) -> Iterator[str]:
    yield "# Configuration of mcppool. `mcppool check` reports mistakes in it, and where each setting comes from:"
    yield f"#   mcppool check {printable(path)}"
    yield f"#   mcppool serve --config {printable(path)}     serves it, and follows edits"
    yield "# `mcppool schema json` prints a schema for editors."
    yield ""
    yield _with('profile = "production"', "or development, test: sets of defaults")
    yield ""
    yield "[listener]"
    yield _with(f"listen = {_text(answers.listen)}", "where clients connect")
    yield ""
    yield "[metrics]"
    yield _with(f"port = {answers.admin_port}", "status page, health and metrics")
    yield ""
    yield "[[pools]]"
    first = next((look for look in looks if not look.trouble), None)
    if first is not None:
        yield f"# {_server(first)}"
    yield from (f"# Look into this: {sentence}." for sentence in differences(looks))
    yield _with(f"name = {_text(answers.name)}", f"served at /{answers.name}/mcp; a single pool at /mcp too")
    yield from _servers(answers, looks)
    if answers.token_file is not None:
        yield f'auth.outbound = {{type = "token", token = {{token_file = {_text(answers.token_file)}}}}}'
    yield from _tools(first)
    yield from _more(first)


def _servers(answers: Answers, looks: Sequence[Look]) -> Iterator[str]:
    if answers.command:
        yield f"command = [{', '.join(map(_text, answers.command))}]"
        yield _with(f"replicas = {answers.replicas}", "processes; 1 for a program that keeps state in memory")
        return
    yield "endpoints = ["
    for url, look in zip(answers.urls, looks, strict=True):
        about = f"did not answer: {look.trouble}" if look.trouble else ""
        yield "  " + _with(f"{_text(url)},", about, COLUMN - 2)
    yield "]"


def _server(look: Look) -> str:
    name = printable(" ".join(part for part in (look.name, look.version) if part)) or "A server without a name"
    kind = "stateless" if look.era == "modern" else "with sessions"
    tools = "1 tool" if len(look.tools) == 1 else f"{len(look.tools)} tools"
    return f"{name}: {kind} ({printable(look.protocol_version)}), {tools}."


def _tools(look: Look | None) -> Iterator[str]:
    if look is None or not look.tools:
        return
    safe = [tool for tool in look.tools if _repeatable(tool)]
    unsafe = [tool for tool in look.tools if not _repeatable(tool)]
    yield ""
    yield "  # A call that may have run is repeated on another replica only where that does no harm."
    if safe:
        yield f"  # Repeated, because the server marks them as read-only or idempotent: {_names(safe)}."
    if unsafe:
        yield f"  # Not repeated: {_names(unsafe)}."
    example = next((name for tool in unsafe if has_own_key(name := str(tool.get("name")))), None)
    if example is not None:
        yield "  # If it does no harm to do one of them twice:"
        yield f'  #   [pools.tools."{example}"]'
        yield "  #   idempotent = true"


def _more(look: Look | None) -> Iterator[str]:
    yield ""
    yield "  # More, each with its default or an example:"
    yield "  # [pools.load_balancer]"
    yield '  # strategy = "least_connections"'
    yield "  # [pools.timeouts]"
    yield '  # request = "5m"'
    if look is not None and look.era == "legacy":
        yield "  # [pools.sessions]"
        yield "  # stateless = true                        # if its sessions hold no state: any replica may serve them"
    yield "  # [pools.auth.inbound]                      # before you listen on more than 127.0.0.1"
    yield '  # type = "api_keys"'
    yield '  # api_keys = {keys_file = "keys.toml"}      # made by `mcppool keys add keys.toml NAME`'


def _repeatable(tool: Mapping[str, Any]) -> bool:
    annotations = tool.get("annotations")
    given = annotations if isinstance(annotations, dict) else {}
    return given.get("readOnlyHint") is True or given.get("idempotentHint") is True


def _names(tools: Sequence[Mapping[str, Any]]) -> str:
    names = [printable(str(tool.get("name"))) for tool in tools[:MANY]]
    rest = len(tools) - len(names)
    return ", ".join(names) + (f" and {rest} more" if rest else "")


def _with(text: str, comment: str, column: int = COLUMN) -> str:
    return f"{text:<{column}}# {printable(comment)}" if comment else text


def _text(value: str) -> str:
    """A TOML string; `${` is no reference there."""
    return json.dumps(value.replace("${", "$${"), ensure_ascii=False).replace("\x7f", "\\u007f")
