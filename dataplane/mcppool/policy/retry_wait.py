"""The wait before an attempt after all endpoints have been tried (design §4.4).

Exponential: `base * 2**(n-1)`; linear: `n * base`; both at most `cap`, both with full jitter. `n` counts the waits of
this call from 1. An attempt at another endpoint needs no wait (design §4.3).
"""

from __future__ import annotations

from mcppool.policy.backoff import exponential


def retry_wait(strategy: str, n: int, base: float, cap: float) -> float:
    """Seconds before jitter, for strategies without learning."""
    return min(n * base, cap) if strategy == "linear" else exponential(n, base, cap)
