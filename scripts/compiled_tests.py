"""Prints the unit tests that run compiled modules: those of each package that has one, and others that import from one.

`make test-compiled-hot` runs these. The rest, for example all of `spec` and of the operator, is the same Python in both
builds.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNIT = ROOT / "tests" / "unit"

sys.path.insert(0, str(ROOT))
from scripts.compiled_modules import COMPILED  # noqa: E402 (the path comes first)

PACKAGES = frozenset(module.partition("/")[0].removesuffix(".py") for module in COMPILED)
"""What stands directly below `mcppool` and is compiled, or has compiled modules in it."""

_IMPORT = re.compile(rf"^\s*(?:from|import) mcppool\.(?:{'|'.join(sorted(PACKAGES))})\b", re.MULTILINE)


def unit_tests() -> list[Path]:
    """Their files."""
    return [
        file
        for file in sorted(UNIT.rglob("test_*.py"))
        if file.relative_to(UNIT).parts[0] in PACKAGES or _IMPORT.search(file.read_text())
    ]


if __name__ == "__main__":
    print(*(file.relative_to(ROOT) for file in unit_tests()))
