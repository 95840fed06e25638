"""The fenced blocks of the documentation.

The first word after the fence is the language, a second one a name: that of a file which the commands of the page use
(```toml pools.toml), or of a step that a test runs (```sh install). Readers do not see it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.requirements import ROOT

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "charts").rglob("*.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)
FENCED = re.compile(r"^(?P<indent> *)```(?P<head>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    name: str
    text: str

    @property
    def where(self) -> str:
        """The page, and the line at which the block begins."""
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block, continued lines joined; of a terminal session, those after a prompt."""
        text = re.sub(r"\\\n\s*", "", re.sub(r"<<'?EOF'?\n.*?\nEOF$", "", self.text, flags=re.MULTILINE | re.DOTALL))
        lines = [line.strip() for line in text.splitlines()]
        if self.language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [line for line in lines if line and not line.startswith("#")]


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCED.finditer(text):
        language, _, name = match["head"].strip().partition(" ")
        body = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
        found.append(Block(page, text.count("\n", 0, match.start()) + 1, language, name.strip(), body))
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def of_language(*languages: str) -> list[Block]:
    """The blocks in these languages."""
    return [block for block in BLOCKS if block.language in languages]
