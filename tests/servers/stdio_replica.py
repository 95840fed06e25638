"""The replica of `replica.py` on its standard streams; `--log FILE` as there. It says on stderr that it has begun."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.servers.replica import Ledger, build


def main() -> None:
    """Serve until the input ends."""
    log = sys.argv[2] if sys.argv[1:2] == ["--log"] else None
    print(f"replica {os.getpid()} has begun", file=sys.stderr, flush=True)
    build("stdio", Ledger(log, "stdio")).run(transport="stdio")


if __name__ == "__main__":
    main()
