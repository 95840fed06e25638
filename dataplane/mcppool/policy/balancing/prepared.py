"""Data that a strategy computes once for each tuple of candidates."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

KEPT = 8
"""A retry picks from a tuple of its own, without the endpoints it has tried: that must not push out the usual one."""

S = TypeVar("S")


class Prepared(Generic[S]):
    """The outcome of `prepare` for a tuple of candidates, remembered by the tuple's identity for the last few."""

    __slots__ = ("_candidates", "_older", "_prepare", "_state")

    def __init__(self, prepare: Callable[[Sequence[Any]], S]) -> None:
        self._prepare = prepare
        self._candidates: Sequence[Any] | None = None
        self._state: S
        self._older: OrderedDict[int, tuple[Sequence[Any], S]] = OrderedDict()

    def of(self, candidates: Sequence[Any]) -> S:
        """The state for `candidates`, made where it is not known yet."""
        if candidates is self._candidates:
            return self._state
        # Each entry holds its tuple, so that no other can come to have the same identity.
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
