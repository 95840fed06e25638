"""How long inputs are generated, from which seeds, and how a failure is repeated.

Without `MCPPOOL_FUZZ_SECONDS`, each test tries a fixed number of inputs from seed 0: every run tries the same ones.
With it, the tests share that time, and the seeds come from the clock. A failure names its seed, and
`MCPPOOL_FUZZ_SEED` repeats it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

SECONDS = float(os.environ.get("MCPPOOL_FUZZ_SECONDS", "0"))
"""For all tests together."""
SEED = os.environ.get("MCPPOOL_FUZZ_SEED")
LONG_BATCH = 200


def fuzz(
    one: Callable[..., None], *inputs: st.SearchStrategy[Any], examples: int, seconds: float, shrink: bool = True
) -> None:
    """Call `one` with generated `inputs`: `examples` of them where `seconds` is 0, and batches until they are over.

    `shrink` says whether a failing input is made smaller; an input that only fails after others cannot be.
    """
    if SEED is not None:
        _batch(one, inputs, int(SEED), LONG_BATCH if seconds else examples, shrink)
        return
    if not seconds:
        _batch(one, inputs, 0, examples, shrink)
        return
    end, number = time.monotonic() + seconds, time.time_ns() // 1_000_000
    while time.monotonic() < end:
        _batch(one, inputs, number, LONG_BATCH, shrink)
        number += 1


def _batch(
    one: Callable[..., None], inputs: tuple[st.SearchStrategy[Any], ...], number: int, examples: int, shrink: bool
) -> None:
    # No Phase.explain: it runs the input again and again with coverage switched on.
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @seed(number)
    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=[*HealthCheck], print_blob=True,
        phases=phases, derandomize=False,
    )  # fmt: skip
    @given(st.tuples(*inputs))
    def attempt(drawn: tuple[Any, ...]) -> None:
        one(*drawn)

    try:
        attempt()
    except BaseException as error:
        error.add_note(f"repeat it with MCPPOOL_FUZZ_SEED={number}")
        raise
