"""Chooses the snapshot in force among those that arrive.

Snapshots arrive on two ways, the watch and the mounted file; late, twice and out of order; and from a former leader
that does not know its successor yet. The one with the latest term and, within it, the latest generation is in force.
"""

from __future__ import annotations

from mcppool.discovery.source import EventLog, Publish, Refuse
from mcppool.spec import ConfigError, Snapshot, read_snapshot


class Intake:
    """Publishes snapshots that are newer than the one in force or end a refusal; refuses each bad document once."""

    def __init__(self, publish: Publish, refuse: Refuse, log: EventLog) -> None:
        self._log = log
        self._publish = publish
        self._refuse = refuse
        self._in_force: Snapshot | None = None
        self._refused: str | None = None
        self._outdated_term: int | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing has come into force yet."""
        return self._in_force is None

    def take(self, text: str, source: str) -> None:
        """Examine one snapshot's text; `source` names its origin in messages."""
        if text == self._refused:
            return
        try:
            snapshot = read_snapshot(text, source=source)
        except ConfigError as error:
            self._refused = text
            self._refuse(error)
            return
        if self._is_outdated(snapshot, source):
            return
        if self._refused is not None or _identity(snapshot) != _identity(self._in_force):
            self._in_force, self._refused = snapshot, None
            self._publish(snapshot)

    def refuse(self, error: ConfigError) -> None:
        """Report, once, that there was no text to examine."""
        if str(error) != self._refused:
            self._refused = str(error)
            self._refuse(error)

    def _is_outdated(self, snapshot: Snapshot, source: str) -> bool:
        if self._in_force is None:
            return False
        if snapshot.term < self._in_force.term and snapshot.term != self._outdated_term:
            self._outdated_term = snapshot.term
            in_force = self._in_force.term
            self._log.warning("snapshot_of_an_earlier_term", source=source, term=snapshot.term, in_force=in_force)
        return (snapshot.term, snapshot.generation) < (self._in_force.term, self._in_force.generation)


def _identity(snapshot: Snapshot | None) -> tuple[int, int, str] | None:
    return None if snapshot is None else (snapshot.term, snapshot.generation, snapshot.hash)
