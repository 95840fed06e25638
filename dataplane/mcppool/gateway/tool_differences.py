"""Tools that the replicas of a pool define differently, or that some of them lack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mcppool.upstream.endpoint import Endpoint

MOST_TOOLS = 10  # that are listed
MOST_KINDS = 10  # replicas with different tools that are compared; those with the same tools count once


def tool_differences(endpoints: Iterable[Endpoint]) -> dict[str, tuple[str, str]]:
    """By tool, two endpoints with different definitions, or of which the second lacks the tool."""
    kinds: dict[int, Endpoint] = {}
    for endpoint in endpoints:
        if endpoint.catalog is not None and len(kinds) < MOST_KINDS:
            kinds.setdefault(endpoint.catalog.offer, endpoint)
    first, *others = kinds.values() or (None,)
    found: dict[str, tuple[str, str]] = {}
    if first is None:
        return found
    expected = _digests(first)
    for other in others:
        digests = _digests(other)
        for name in sorted(expected.keys() | digests.keys()):
            if len(found) == MOST_TOOLS:
                return found
            if expected.get(name) != digests.get(name) and name not in found:
                has, lacks = (first, other) if name in expected else (other, first)
                found[name] = has.key, lacks.key
    return found


def _digests(endpoint: Endpoint) -> Mapping[str, str]:
    catalog = endpoint.catalog
    return {tool.name: tool.digest for tool in catalog.tools.values()} if catalog is not None else {}
