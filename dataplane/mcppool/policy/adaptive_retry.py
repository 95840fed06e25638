"""`retry_policy.strategy = "adaptive"`: retries that learn from earlier ones (design §4.6).

For each tool or method it keeps a success rate of each attempt number from 2 and each error class (half-life
`HALF_LIFE`, with an optimistic prior of one success); and, for each error class, success rates of waits, in buckets of
up to `base * 2**k`. An attempt is made only if its rate is at least `WORTHWHILE`; one in twenty is made anyway, to
notice recovery. Its wait, before full jitter, is the smallest bucket that helped at least every other time, else the
exponential one.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log2

from mcppool.policy.backoff import exponential
from mcppool.policy.decaying_rate import DecayingRate
from mcppool.policy.error_class import ErrorClass

HALF_LIFE = 300.0  # seconds
PRIOR = 1.0
WORTHWHILE = 0.1
EXPLORED = 0.05
HELPFUL = 0.5
MAX_NAMES = 1024
MAX_BUCKETS = 16
FORGOTTEN = 0.05  # weighted outcomes below which a bucket means nothing


@dataclass(frozen=True, slots=True)
class Learned:
    """One learned fact for the status page: the success rate of an attempt, or of a bucket of waits."""

    name: str
    error_class: ErrorClass
    attempt: int | None
    bucket: int | None
    rate: float
    trials: float


class _History:
    """The learned rates of one tool or method."""

    __slots__ = ("attempts", "waits")

    def __init__(self) -> None:
        self.attempts: dict[tuple[int, ErrorClass], DecayingRate] = {}
        self.waits: dict[tuple[int, ErrorClass], DecayingRate] = {}


class AdaptiveRetry:
    """The state of one pool. It is bounded: `MAX_NAMES` names, and for each a few numbers per attempt and class."""

    def __init__(self) -> None:
        self._histories: OrderedDict[str, _History] = OrderedDict()

    def decide(
        self,
        name: str,
        attempt: int,
        error_class: ErrorClass,
        now: float,
        *,
        waits: int,
        base: float,
        cap: float,
        rng: random.Random,
    ) -> tuple[bool, float]:
        """Whether to make `attempt` (the first one is 1) of a call of `name` after a failure of `error_class`, and the
        seconds to wait before it, before jitter, if it has to wait at all; `waits` counts the waits of this call, with
        this one."""
        history = self._histories.get(name)
        usual = exponential(waits, base, cap)
        if history is None:
            return True, usual
        rate = history.attempts.get((attempt, error_class))
        likely = rate.rate(now, PRIOR) if rate is not None else None
        if likely is not None and likely < WORTHWHILE and rng.random() >= EXPLORED:
            return False, 0.0
        for bucket in range(MAX_BUCKETS):
            wait = history.waits.get((bucket, error_class))
            if wait is not None and wait.trials(now) >= FORGOTTEN and (wait.rate(now) or 0.0) >= HELPFUL:
                return True, min(base * 2.0**bucket, cap)
        return True, usual

    def learn(
        self, name: str, attempt: int, error_class: ErrorClass, waited: float, success: bool, now: float, *, base: float
    ) -> None:
        """Record the outcome of an attempt that was made `waited` seconds after a failure of `error_class`; 0 if it
        went to another endpoint at once, which says nothing about waits."""
        history = self._histories.setdefault(name, _History())
        self._histories.move_to_end(name)
        if len(self._histories) > MAX_NAMES:
            self._histories.popitem(last=False)
        history.attempts.setdefault((attempt, error_class), DecayingRate(HALF_LIFE)).observe(success, now)
        if waited > 0:
            bucket = bucket_of(waited, base)
            history.waits.setdefault((bucket, error_class), DecayingRate(HALF_LIFE)).observe(success, now)

    def snapshot(self, now: float) -> list[Learned]:
        """Learned facts that still count, for the status page."""
        return list(self._lines(now))

    def _lines(self, now: float) -> Iterator[Learned]:
        for name, history in self._histories.items():
            for (attempt, error_class), rate in sorted(history.attempts.items()):
                yield Learned(name, error_class, attempt, None, rate.rate(now, PRIOR) or 0.0, rate.trials(now))
            for (bucket, error_class), rate in sorted(history.waits.items()):
                yield Learned(name, error_class, None, bucket, rate.rate(now) or 0.0, rate.trials(now))


def bucket_of(wait: float, base: float) -> int:
    """The smallest k with `wait <= base * 2**k`, at most `MAX_BUCKETS - 1`."""
    if base <= 0 or wait <= base:
        return 0
    if wait >= base * 2.0 ** (MAX_BUCKETS - 1):
        return MAX_BUCKETS - 1
    return ceil(log2(wait / base) - 1e-9)
