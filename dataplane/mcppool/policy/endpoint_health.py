"""The state of an endpoint's health, and how events change it: `(state, event, facts) → state`.

`UNREACHABLE`, `HUNG`, `JOINING` and the draining states end only by the events in `_MOVES`. The other states follow
from the facts: an ejection hides failed checks, and failed checks hide a silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto


class EndpointState(Enum):
    """The health of an endpoint. `word` is the state in logs, metrics and on the status page."""

    JOINING = "joining", "It was added while others serve, or is starting; it waits for its first passed check."
    AVAILABLE = "available", "It takes calls."
    BUSY = "busy", "It accepts connections and answers nothing while it works; new calls prefer other endpoints."
    UNHEALTHY = "unhealthy", "Its active checks fail."
    EJECTED = "ejected", "Its answers to calls were bad; its ejection time runs."
    PROBATION = "ejected", "Its ejection time is over; one call tries it."
    UNREACHABLE = "unreachable", "It accepts no connections."
    HUNG = "hung", "It answers nothing, not even a check."
    DRAINING = "draining", "It takes no new calls and finishes those in flight."
    GONE = "draining", "It drains, and accepts no connections any more."
    STUCK = "draining", "It drains, and answers nothing, not even a check."

    available: bool
    draining: bool
    lost: bool
    reachable: bool

    def __init__(self, word: str, _meaning: str) -> None:
        self.word = word
        self.available = self.name in ("AVAILABLE", "BUSY")
        """Whether balancing may choose it."""
        self.draining = self.name in ("DRAINING", "GONE", "STUCK")
        """Whether it is leaving."""
        self.lost = self.name in ("UNREACHABLE", "HUNG", "GONE", "STUCK")
        """Whether only a check can bring it back, because it refuses connections or is silent."""
        self.reachable = not (self.draining or self.lost or self.name == "JOINING")
        """Whether a call may go there when no endpoint is available: the candidates in panic."""


class HealthEvent(Enum):
    """An observation about an endpoint, or an order of its operator."""

    STARTS = auto()
    """It has not answered yet, and its first check takes long."""
    CHECK_PASSED = auto()
    CHECK_FAILED = auto()
    CHECK_REFUSED = auto()
    """It answers checks with an HTTP status that refuses them."""
    CONNECTION_REFUSED = auto()
    HANGS = auto()
    SILENT = auto()
    ANSWERS_AGAIN = auto()
    EJECTED = auto()
    EJECTION_OVER = auto()
    RECOVERED = auto()
    """Its trial call during probation was answered."""
    DRAINED = auto()
    RESUMED = auto()


@dataclass(frozen=True, slots=True)
class Facts:
    """The records about an endpoint that its state depends on."""

    ejected: bool = False
    on_trial: bool = False
    """Its ejection time is over; the next call decides."""
    checks_pass: bool = True
    silent: bool = False
    answered: bool = True
    """It has answered a check, or refused one."""


S, E = EndpointState, HealthEvent

_SERVING = (S.AVAILABLE, S.BUSY, S.UNHEALTHY, S.EJECTED, S.PROBATION)
"""The states that follow from the facts."""

_FOUND = {S.JOINING: None, S.UNREACHABLE: None, S.HUNG: None, S.GONE: S.DRAINING, S.STUCK: S.DRAINING}

_MOVES: Mapping[HealthEvent, Mapping[EndpointState, EndpointState | None]] = {
    E.STARTS: dict.fromkeys(_SERVING, S.JOINING),
    E.CHECK_PASSED: _FOUND,
    E.CHECK_REFUSED: _FOUND,
    E.CONNECTION_REFUSED: {**dict.fromkeys((*_SERVING, S.JOINING), S.UNREACHABLE), S.DRAINING: S.GONE},
    E.HANGS: {**dict.fromkeys((*_SERVING, S.JOINING), S.HUNG), S.DRAINING: S.STUCK},
    E.DRAINED: {
        **dict.fromkeys((*_SERVING, S.JOINING), S.DRAINING),
        S.UNREACHABLE: S.GONE,
        S.HUNG: S.STUCK,
    },
    E.RESUMED: {S.DRAINING: None, S.GONE: S.UNREACHABLE, S.STUCK: S.HUNG},
}
"""Transitions that do not follow from the facts alone; None: the facts decide."""


def next_state(state: EndpointState, event: HealthEvent, facts: Facts) -> EndpointState:
    """The state after `event`. `facts` already include the event."""
    if event is HealthEvent.RESUMED and state is S.DRAINING and not facts.answered:
        return S.JOINING
    moved = _MOVES.get(event, {}).get(state, None if state in _SERVING else state)
    return _by_facts(facts) if moved is None else moved


def _by_facts(facts: Facts) -> EndpointState:
    if facts.ejected:
        return S.PROBATION if facts.on_trial else S.EJECTED
    if not facts.checks_pass:
        return S.UNHEALTHY
    return S.BUSY if facts.silent else S.AVAILABLE
