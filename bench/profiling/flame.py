"""A flame graph as SVG: one box for each function, as wide as its share of the CPU time, above its caller."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

WIDTH, ROW, MARGIN = 1200.0, 17, 10
LETTER = 6.6
"""Width of a letter of the font."""
NARROWEST = 0.3
"""Width of the narrowest box that is drawn."""


@dataclass
class Node:
    """A function in its place on the stacks."""

    number: int = 0
    callees: dict[str, Node] = field(default_factory=dict)

    def depth(self) -> int:
        return 1 + max((each.depth() for each in self.callees.values()), default=0)


def tree(stacks: Mapping[str, int]) -> Node:
    """Return the stacks as one tree."""
    root = Node()
    for stack, number in stacks.items():
        root.number += number
        node = root
        for name in stack.split(";"):
            node = node.callees.setdefault(name, Node())
            node.number += number
    return root


def render(stacks: Mapping[str, int], title: str) -> str:
    """Return the SVG. A box shows function, share and samples when the pointer rests on it."""
    root = tree(stacks)
    height = (root.depth() + 1) * ROW + 2 * MARGIN
    boxes = "\n".join(_boxes("all", root, MARGIN, height - MARGIN - ROW, root.number, WIDTH / max(1, root.number)))
    width = WIDTH + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height}" viewBox="0 0 {width:g} {height}" '
        f'font-family="monospace" font-size="11">\n<rect width="100%" height="100%" fill="#fffdf7"/>\n'
        f'<text x="{MARGIN}" y="{MARGIN + 4}">{escape(title)}</text>\n{boxes}\n</svg>\n'
    )


def _boxes(name: str, node: Node, left: float, top: int, total: int, scale: float) -> Iterator[str]:
    width = node.number * scale
    if width < NARROWEST:
        return
    letters = int((width - 4) / LETTER)
    label = name.removeprefix("mcppool.")
    label = label if len(label) <= letters else label[: letters - 1] + "…" if letters > 3 else ""
    hover = f"{name}: {node.number / max(1, total):.1%}, {node.number:,} samples"
    text = f'<text x="{left + 2:.1f}" y="{top + 12}">{escape(label)}</text>' if label else ""
    box = f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW - 1}" fill="{_colour(name)}"/>'
    yield f"<g><title>{escape(hover)}</title>{box}{text}</g>"
    for callee, each in sorted(node.callees.items()):
        yield from _boxes(callee, each, left, top - ROW, total, scale)
        left += each.number * scale


def _colour(name: str) -> str:
    """Return a colour that belongs to the module: warm for ours, grey for others."""
    module = name.partition(":")[0]
    shade = zlib.crc32(module.encode())
    if not module.startswith("mcppool"):
        return "#d8d8d8"
    return f"hsl({20 + shade % 40}, {70 + shade // 40 % 25}%, {62 + shade // 1000 % 14}%)"
