"""docs/tutorials/kubernetes.md as a script: the tests run the commands of the page, so the page is correct.

A command block is fenced as ```sh NAME; the name is for the tests (readers do not see it).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from e2e.clusters import Cluster

PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```sh(?:[ ]+(?P<name>[a-z-]+))?\n(?P<commands>.*?)^```$", re.MULTILINE | re.DOTALL)


class Page:
    """The command blocks of one page, by name."""

    def __init__(self, path: Path) -> None:
        text = path.read_text()
        self.unnamed = [match["commands"] for match in BLOCK.finditer(text) if not match["name"]]
        self.python: list[str] = PYTHON.findall(text)
        self._blocks = {match["name"]: match["commands"] for match in BLOCK.finditer(text) if match["name"]}

    def commands(self, name: str) -> str:
        """Return the commands of the block called `name`."""
        return self._blocks[name]

    def names(self) -> set[str]:
        """Return the names of all blocks."""
        return set(self._blocks)


@dataclass(frozen=True)
class Script:
    """Runs blocks of the page."""

    cluster: Cluster
    page: Page

    def run(self, name: str) -> str:
        """Run the block called `name`, as a reader would who pastes it into a shell; return its output."""
        return self.cluster.run("bash", "-euo", "pipefail", "-c", self.page.commands(name))


@dataclass(frozen=True)
class FirstCall:
    """The first call: its output, and the time from applying the pool to its answer, in seconds."""

    printed: str
    seconds: float
