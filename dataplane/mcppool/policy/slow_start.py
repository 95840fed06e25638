"""`slow_start`: a new or recovered endpoint gets its share step by step (Envoy; design §3.5).

`weight * max(MIN_SHARE, elapsed / window)`, the linear ramp (aggression 1) from a tenth of the weight to all of it.
"""

from __future__ import annotations

MIN_SHARE = 0.1


def scaled_weight(weight: float, since: float | None, window: float, now: float) -> float:
    """The weight of an endpoint that came or came back at `since` (None: long ago); times in seconds."""
    if since is None or window <= 0 or now - since >= window:
        return weight
    return weight * max(MIN_SHARE, (now - since) / window)
