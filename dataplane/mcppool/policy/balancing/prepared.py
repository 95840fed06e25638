"""Data that a strategy computes once for each tuple of candidates."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

KEPT = 8
"""Tuples that are kept. A retry picks from a tuple of its own, without the tried endpoints; it must not evict the usual
one."""

S = TypeVar("S")


class Prepared(Generic[S]):
    """The result of `prepare` for a tuple of candidates, kept by the tuple's identity for the last few tuples."""

    __slots__ = ("_candidates", "_older", "_prepare", "_state")

    def __init__(self, prepare: Callable[[Sequence[Any]], S]) -> None:
        self._prepare = prepare
        self._candidates: Sequence[Any] | None = None
        self._state: S
        self._older: OrderedDict[int, tuple[Sequence[Any], S]] = OrderedDict()

    def of(self, candidates: Sequence[Any]) -> S:
        """The data for `candidates`, prepared if it is new."""
        if candidates is self._candidates:
            return self._state
        # Each entry holds its tuple, so no other tuple can get the same identity.
        known = self._older.pop(id(candidates), None)
        state = known[1] if known is not None else self._prepare(candidates)
        self._older[id(candidates)] = (candidates, state)
        if len(self._older) > KEPT:
            self._older.popitem(last=False)
        self._candidates, self._state = candidates, state
        return state

    def forget(self) -> None:
        """Drop the prepared data."""
        self._candidates = None
        self._older.clear()
