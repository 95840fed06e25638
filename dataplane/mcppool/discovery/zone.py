"""The zone of this process, for `load_balancer.zone_preference`."""

from __future__ import annotations

import os

from mcppool.spec import Snapshot

ZONE_VARIABLE = "MCPPOOL_ZONE"
"""Environment variable with this program's zone, if the configuration has none."""


def own_zone(snapshot: Snapshot) -> str | None:
    """The zone in which this process runs."""
    return snapshot.gateway.zone or os.environ.get(ZONE_VARIABLE) or None
