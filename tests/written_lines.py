"""The lines of a file that another process is appending to.

One write of a line is not one step for a reader: where the line crosses a page of the file, the kernel shows its first
part before the rest. So a reader takes only lines that end.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def written_lines(path: Path) -> list[str]:
    """The lines of `path` that are complete, oldest first; none if there is no such file."""
    return whole_lines(path.read_bytes()) if path.exists() else []


def written_json(path: Path) -> list[Any]:
    """The values of `path`, one JSON value in each complete line."""
    return [json.loads(line) for line in written_lines(path)]


def whole_lines(text: bytes) -> list[str]:
    """The lines of `text` up to its last line feed."""
    return text[: text.rfind(b"\n") + 1].decode().split("\n")[:-1]
