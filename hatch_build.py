"""`MCPPOOL_COMPILED=1 pip install .` compiles the modules that run in every call; without it, the wheel is Python only.

docs/how-to/compiled.md says what this gives, scripts/compiled_modules.py which modules these are.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledModules(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the compiled modules beside their sources in the wheel."""

    def dependencies(self) -> list[str]:
        """What the compiler needs: itself, and the types of what the modules use."""
        return ["mypy>=2.0,<3", "setuptools>=80", *self.metadata.core.dependencies] if self._asked else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and name the files and the platform."""
        if not self._asked or version == "editable":
            return
        folder = Path(tempfile.mkdtemp(prefix="mcppool-wheel-"))
        self._folder = folder
        subprocess.run([sys.executable, str(Path(self.root) / "scripts" / "compile-modules"), str(folder)], check=True)
        found = [path for path in folder.rglob("*") if path.is_file()]
        build_data["force_include"].update({str(path): path.relative_to(folder).as_posix() for path in found})
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    @property
    def _asked(self) -> bool:
        return os.environ.get("MCPPOOL_COMPILED") == "1"
