"""W3C trace context: the trace that a call belongs to, and whether it is sampled.

https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
from random import getrandbits, random
from typing import Final, NamedTuple

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED: Final = 1
_WHOLE: Final = 1 << 64
MAX_STATE: Final = 8192
"""Upper bound on the characters of a `tracestate` that is passed on; a longer one is left out."""


class TraceContext(NamedTuple):
    """One side of a call in a trace: the ids in lower-case hex, the sender's decision, and the vendors' state."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""


def read_traceparent(text: str, state: str = "") -> TraceContext | None:
    """The context in a `traceparent`; None if it is none. Fields that later versions add are ignored."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    state = state if len(state) <= MAX_STATE and state.isprintable() and state.isascii() else ""
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED), state)


def write_traceparent(trace_id: str, span_id: str) -> str:
    """The `traceparent` of a sampled span."""
    return f"00-{trace_id}-{span_id}-01"


def new_trace_id() -> str:
    """A random id of a trace."""
    return f"{getrandbits(128) or 1:032x}"


def new_span_id() -> str:
    """A random id of a span."""
    return f"{getrandbits(64) or 1:016x}"


class Sampler:
    """Decides which calls are traced: a share of them, unless their client has decided (`parent_based`)."""

    __slots__ = ("_bound", "parent_based", "ratio")

    def __init__(self, ratio: float, *, parent_based: bool) -> None:
        self.ratio = ratio
        self.parent_based = parent_based
        self._bound = round(ratio * _WHOLE)

    def samples(self, parent: TraceContext | None) -> bool:
        """Whether a call is traced; `parent` is its client's span. Of one trace, all gateways with the same ratio
        decide the same."""
        if parent is None:
            return random() < self.ratio
        if self.parent_based:
            return parent.sampled
        return int(parent.trace_id[16:], 16) < self._bound
