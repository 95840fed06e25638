"""How long inputs are generated, from which seeds, and how a failure is repeated.

Without `MCPPOOL_FUZZ_SECONDS`, each test tries a fixed number of inputs from seed 0: every run tries the same ones.
With it, the tests share that time, and the seeds come from the clock. A failure names its seed, and
`MCPPOOL_FUZZ_SEED` repeats it.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from math import inf
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning

from tests.fuzz.corpus import known, save

SECONDS = float(os.environ.get("MCPPOOL_FUZZ_SECONDS", "0"))
"""For all tests together."""
SEED = os.environ.get("MCPPOOL_FUZZ_SEED")
LONG_BATCH = 200


def fuzz(name: str, one: Callable[..., None], *inputs: st.SearchStrategy[Any], examples: int, seconds: float) -> None:
    """Call `one` with the corpus `name`, and then with generated `inputs`: `examples` of them if `seconds` is 0, and
    batches until these are over."""
    for path, kept in known(name):
        try:
            one(*kept)
        except BaseException as error:
            error.add_note(f"with the inputs of {path}")
            raise
    if SEED is not None:
        _batch(name, one, inputs, int(SEED), LONG_BATCH if seconds else examples)
        return
    if not seconds:
        _batch(name, one, inputs, 0, examples)
        return
    end, number = time.monotonic() + seconds, time.time_ns() // 1_000_000
    while time.monotonic() < end:
        _batch(name, one, inputs, number, LONG_BATCH, end)
        number += 1


class _TimeIsUp(KeyboardInterrupt):
    """Ends a batch: hypothesis takes any other exception for the failure of an input."""


def _batch(
    name: str,
    one: Callable[..., None],
    inputs: tuple[st.SearchStrategy[Any], ...],
    number: int,
    examples: int,
    end: float = inf,
) -> None:
    """Try `examples` inputs, fewer if the time `end` comes first."""
    failed: tuple[Any, ...] = ()

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=False,
        suppress_health_check=[*HealthCheck],
        phases=[Phase.generate, Phase.shrink],  # not Phase.explain, which tries the input again and again
    )
    @given(st.tuples(*inputs))
    def attempt(drawn: tuple[Any, ...]) -> None:
        nonlocal failed
        if time.monotonic() > end and not failed:
            raise _TimeIsUp
        try:
            one(*drawn)
        except BaseException:
            failed = drawn  # the smallest one comes last
            raise

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HypothesisWarning)  # that it shows a long input
            attempt()
    except _TimeIsUp:
        pass
    except BaseException as error:
        error.add_note(f"MCPPOOL_FUZZ_SEED={number} repeats it; the inputs are in {save(name, failed)}")
        raise
