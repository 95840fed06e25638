"""Tools that the replicas of a pool define differently."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import msgspec

from mcppool.gateway.tool_differences import MOST_TOOLS, tool_differences
from mcppool.upstream.catalog import EndpointCatalog, ToolPage


def endpoint(key: str, **tools: str) -> Any:
    """An endpoint whose tools have these descriptions."""
    page = {"tools": [{"name": name, "description": text} for name, text in tools.items()]}
    infos = {tool.name: tool for tool in msgspec.json.decode(json.dumps(page), type=ToolPage).infos({})}
    offer = hash(frozenset((tool.name, tool.digest) for tool in infos.values()))
    return SimpleNamespace(key=key, catalog=EndpointCatalog(True, b"{}", infos, offer))


def test_replicas_that_offer_the_same_differ_in_nothing() -> None:
    same = [endpoint(str(n), a="x", b="y") for n in range(3)]
    assert tool_differences([*same, SimpleNamespace(key="new", catalog=None)]) == {}
    assert tool_differences([]) == {}


def test_a_difference_names_a_replica_of_each_kind() -> None:
    offers = [endpoint("1", a="x", b="y"), endpoint("2", a="x", b="y"), endpoint("3", a="x", b="z", c="")]
    assert tool_differences(offers) == {"b": ("1", "3"), "c": ("3", "1")}
    assert tool_differences([endpoint("1", a="x"), endpoint("2")]) == {"a": ("1", "2")}


def test_no_more_than_a_few_are_named() -> None:
    many = {f"t{n}": "" for n in range(MOST_TOOLS + 5)}
    assert len(tool_differences([endpoint("1", **many), endpoint("2")])) == MOST_TOOLS
