"""Known failures and their reasons: `baseline.toml`, and its differences from a run.

An entry is about checks of one kind of server at one revision. `by = "server"`: they do not pass against the bare
server. `by = "gateway"`: they pass against the bare server and do not through the gateway.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from tests.conformance.suite import Check, Report, Verdict

MISSING = Verdict("MISSING", "the check was not made")


@dataclass(frozen=True)
class Entry:
    """One reason. `checks` are patterns `SCENARIO/CHECK`, where `*` stands for anything; each must match something."""

    server: str
    revision: str
    by: Literal["server", "gateway"]
    reason: str
    checks: tuple[str, ...]


def read_baseline(path: Path) -> tuple[Entry, ...]:
    """The entries of the file. Raises TypeError for an entry with other keys than `Entry` has."""
    return tuple(
        Entry(**{**entry, "checks": tuple(entry["checks"])}) for entry in tomllib.loads(path.read_text())["known"]
    )


def failures(report: Report) -> Mapping[Check, Verdict]:
    """The checks that did not pass."""
    return {check: verdict for check, verdict in report.items() if not verdict.passed}


def worse(bare: Report, through: Report) -> Mapping[Check, Verdict]:
    """The checks that pass in `bare` and do not pass, or are not even made, in `through`."""
    return {
        check: through.get(check, MISSING)
        for check, verdict in bare.items()
        if verdict.passed and not through.get(check, MISSING).passed
    }


def surprises(seen: Mapping[Check, Verdict], known: Iterable[Entry]) -> Sequence[str]:
    """One line for each check in `seen` that no entry expects, and for each pattern that nothing in `seen` needs."""
    patterns = [pattern for entry in known for pattern in entry.checks]
    unexpected = [
        f"{check}: {verdict.status} {verdict.message}".rstrip()
        for check, verdict in seen.items()
        if not any(_matches(check, pattern) for pattern in patterns)
    ]
    stale = [
        f"{pattern}: stands in the baseline and passes"
        for pattern in patterns
        if not any(_matches(check, pattern) for check in seen)
    ]
    return unexpected + stale


def _matches(check: Check, pattern: str) -> bool:
    return fnmatchcase(str(check), pattern)
