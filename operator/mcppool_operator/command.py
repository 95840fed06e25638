"""The command `mcppool-operator`. It names the extra to install if the operator's dependencies are missing."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the operator."""
    try:
        from mcppool_operator.main import main as run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("kopf", "kubernetes"):
            raise
        sys.exit("mcppool-operator needs the extra `operator`: pip install 'mcp-server-pool[operator]'")
    run()
