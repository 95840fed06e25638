"""Contents of results, as text for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mcppool.cli.terminal import printable_lines
from mcppool.spec.plural import counted


def result_text(result: Mapping[str, Any]) -> str:
    """The contents of a tool's result; its structured content if there are none."""
    lines = list(_blocks(result.get("content")))
    if not lines and result.get("structuredContent") is not None:
        lines = [json.dumps(result["structuredContent"], indent=2, ensure_ascii=False)]
    return printable_lines("\n".join(lines))


def resource_text(result: Mapping[str, Any]) -> str:
    """The contents of a resource."""
    contents = result.get("contents")
    parts = [_resource(part) for part in contents if isinstance(part, dict)] if isinstance(contents, list) else []
    return printable_lines("\n".join(parts))


def prompt_text(result: Mapping[str, Any]) -> str:
    """The messages of a prompt, each below its role."""
    messages = result.get("messages")
    lines: list[str] = []
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            lines += [f"{message.get('role')}:", *_blocks(message.get("content"))]
    return printable_lines("\n".join(lines))


def _blocks(content: Any) -> Iterator[str]:
    for block in content if isinstance(content, list) else [content]:
        if isinstance(block, dict):
            yield _block(block)


def _block(block: Mapping[str, Any]) -> str:
    match block.get("type"):
        case "text":
            return str(block.get("text", ""))
        case "resource":
            part = block.get("resource")
            return _resource(part) if isinstance(part, dict) else "(resource)"
        case "resource_link":
            return f"(resource {block.get('uri')})"
        case kind:
            return f"({kind} {block.get('mimeType', '')}: {_size(block.get('data'))})"


def _resource(part: Mapping[str, Any]) -> str:
    if isinstance(text := part.get("text"), str):
        return text
    return f"({part.get('uri')} {part.get('mimeType', '')}: {_size(part.get('blob'))})"


def _size(base64: Any) -> str:
    if not isinstance(base64, str):
        return "no data"
    digits = "".join(base64.split()).rstrip("=")
    return counted(len(digits) * 3 // 4, "byte")
