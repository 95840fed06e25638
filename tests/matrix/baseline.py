"""Differences that are known, each with its reason: `baseline.toml`. An entry that nothing needs is an error, too."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tests.matrix.run import Pair

BASELINE = Path(__file__).parent / "baseline.toml"


@dataclass(frozen=True)
class Known:
    """A reason. `server`, `client` and `difference` are patterns, `*` standing for anything; a difference is a line of
    `Pair.differences`.

    `sometimes`: it depends on timing, and may be missing from a run.
    """

    server: str
    client: str
    difference: str
    reason: str
    sometimes: bool = False

    def covers(self, pair: Pair, difference: str) -> bool:
        """Whether this is the reason for a difference."""
        return self.about(pair) and _matches(difference, self.difference)

    def about(self, pair: Pair) -> bool:
        """Whether this is about the server and the client of a pair."""
        return _matches(pair.server, self.server) and _matches(pair.client, self.client)


def _matches(text: str, pattern: str) -> bool:
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def read_baseline(path: Path = BASELINE) -> tuple[Known, ...]:
    """The entries of the file. Raises TypeError for an entry with other keys than `Known` has."""
    return tuple(Known(**entry) for entry in tomllib.loads(path.read_text()).get("known", []))


def reason_for(pair: Pair, difference: str, known: Iterable[Known]) -> str | None:
    """Why this difference is as it must be, or None where nothing says so."""
    return next((entry.reason for entry in known if entry.covers(pair, difference)), None)


def surprises(pairs: Sequence[Pair], known: Sequence[Known]) -> list[str]:
    """A line for each difference that no entry expects, and for each entry about these pairs that none needs."""
    unexpected = [
        f"{pair.server} / {pair.client}: {difference}"
        for pair in pairs
        for difference in pair.differences
        if reason_for(pair, difference, known) is None
    ]
    stale = [
        f"{entry.server} / {entry.client}: {entry.difference}: stands in the baseline and is not seen"
        for entry in known
        if not entry.sometimes
        and any(entry.about(pair) for pair in pairs)
        and not any(entry.covers(pair, difference) for pair in pairs for difference in pair.differences)
    ]
    return unexpected + stale
