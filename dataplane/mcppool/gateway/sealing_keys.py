"""The keys that session ids are sealed with: from a file that gateways share, or made at start."""

from __future__ import annotations

import time
from pathlib import Path

from mcppool.spec import ConfigError, Problem
from mcppool.wire.sealing import KeyRing, generate_key_line, parse_keys


def load_ring(path: str | None) -> KeyRing:
    """The ring of a key file; without one a fresh ring, whose sessions end with this process. Raises ConfigError."""
    if path is None:
        return parse_keys(generate_key_line(time.time()))
    try:
        return parse_keys(Path(path).read_text(encoding="ascii"), path)
    except (OSError, ValueError) as error:
        raise ConfigError([Problem("listener.sealing_keys", str(error), path)]) from error
