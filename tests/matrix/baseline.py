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
    """A reason for differences. `server` and `client` are names with commas between them, `differences` lines of
    `Pair.differences`; each of them is a pattern, in which `*` stands for anything.

    `sometimes`: they depend on timing, and may be missing from a run.
    """

    server: str
    client: str
    differences: Sequence[str]
    reason: str
    sometimes: bool = False

    def __post_init__(self) -> None:
        vague = [pattern for pattern in self.differences if not pattern.partition(": ")[2].strip("*: ")]
        if vague or isinstance(self.differences, str) or not self.differences:
            raise ValueError(f"{self.server} / {self.client}: differences {self.differences!r} name no action")

    def covers(self, pair: Pair, difference: str) -> bool:
        """Whether this is the reason for a difference."""
        return self.about(pair) and any(_matches(difference, pattern) for pattern in self.differences)

    def about(self, pair: Pair) -> bool:
        """Whether this is about the server and the client of a pair."""
        return _among(pair.server, self.server) and _among(pair.client, self.client)


def _among(name: str, patterns: str) -> bool:
    return any(_matches(name, pattern.strip()) for pattern in patterns.split(","))


def _matches(text: str, pattern: str) -> bool:
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def read_baseline(path: Path = BASELINE) -> tuple[Known, ...]:
    """The entries of the file. Raises TypeError for an entry with keys that `Known` lacks, ValueError for one whose
    differences name no action."""
    return tuple(Known(**entry) for entry in tomllib.loads(path.read_text()).get("known", []))


def reason_for(pair: Pair, difference: str, known: Iterable[Known]) -> str | None:
    """The reason for this difference, or None if there is none."""
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
        f"{entry.server} / {entry.client}: {pattern}: stands in the baseline and is not seen"
        for entry in known
        if not entry.sometimes and any(entry.about(pair) for pair in pairs)
        for pattern in entry.differences
        if not any(_matches(line, pattern) for pair in pairs if entry.about(pair) for line in pair.differences)
    ]
    return unexpected + stale
