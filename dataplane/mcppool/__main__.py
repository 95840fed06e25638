"""`python -m mcppool`: the command `mcppool`."""

from __future__ import annotations

import sys

from mcppool.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
