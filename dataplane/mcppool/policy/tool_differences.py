"""Tools that differ between replicas of a server: one replica does not list the tool, or defines it differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

MAX_EXAMPLES: Final = 5
"""Upper bound on the differences that are described; all are counted."""


class ToolDifference(NamedTuple):
    """A tool, and an endpoint that differs from most of the others: it does not list the tool (`missing`), or lists
    another definition, or is alone in listing the tool (`extra`)."""

    tool: str
    endpoint: str
    kind: str


class ToolDifferences(NamedTuple):
    """The number of tools that differ, and the first ones in the order of their names."""

    total: int = 0
    examples: tuple[ToolDifference, ...] = ()


NO_DIFFERENCES: Final = ToolDifferences()


def tool_differences(offers: Sequence[tuple[str, Mapping[str, str]]]) -> ToolDifferences:
    """Compare the tools of a pool's endpoints. `offers` has, for each endpoint, its name and the digests of its tools'
    definitions by tool."""
    seen: dict[str, dict[str, int]] = {}
    for _, digests in offers:
        for tool, digest in digests.items():
            counts = seen.setdefault(tool, {})
            counts[digest] = counts.get(digest, 0) + 1
    differing = sorted(
        tool for tool, counts in seen.items() if len(counts) > 1 or next(iter(counts.values())) < len(offers)
    )
    return ToolDifferences(
        len(differing), tuple(_example(tool, seen[tool], offers) for tool in differing[:MAX_EXAMPLES])
    )


def _example(tool: str, counts: Mapping[str, int], offers: Sequence[tuple[str, Mapping[str, str]]]) -> ToolDifference:
    listed = sum(counts.values())
    if listed < len(offers):
        kind = "missing" if 2 * listed >= len(offers) else "extra"
        return ToolDifference(tool, next(name for name, offer in offers if (tool in offer) == (kind == "extra")), kind)
    usual = max(counts, key=counts.__getitem__)
    return ToolDifference(tool, next(name for name, offer in offers if offer[tool] != usual), "definition")
