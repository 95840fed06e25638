"""`panic_threshold_percent`: when too few endpoints are available, health is ignored (Envoy's panic mode).

All calls together would overload the few available endpoints too; below the threshold calls go to all reachable ones.
"""

from __future__ import annotations


def in_panic(available: int, total: int, threshold_percent: int) -> bool:
    """Whether fewer than `threshold_percent` of `total` endpoints are available; 0 turns it off."""
    return total > 0 and available * 100 < threshold_percent * total
