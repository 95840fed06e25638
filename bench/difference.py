"""The difference of a run to the last one on the same machine.

The figures of each scene are kept in `bench/results/last/`, one file for each machine; a run replaces those of its own
scenes. The change of the other targets tells what the machine itself contributed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.report import NOISY, OURS, RESULTS, Report, middle, table

FOLDER = RESULTS / "last"
NONE = "There is no earlier run on this machine to compare with; this one is recorded."


@dataclass(frozen=True)
class Figures:
    """Medians of one scene at one target: seconds of CPU time per call, calls per second, and the share of the cores
    that other processes took. `version` is the one that was measured."""

    cpu: float
    rate: float
    others: float
    version: str


Run = dict[str, dict[str, Figures]]
"""By scene and target."""


def run_of(report: Report) -> Run:
    """Return the figures of a report."""
    version = report.versions.get("mcppool", "")
    return {
        one.scene.name: {
            name: Figures(middle(rounds, "cpu"), middle(rounds, "rate"), middle(rounds, "others"), version)
            for name, rounds in one.rounds.items()
        }
        for one in report.measured
    }


def read(machine: str, folder: Path = FOLDER) -> Run:
    """Return the last figures of each scene on a machine: none if there was no run, or if the file is unreadable."""
    try:
        saved = json.loads((folder / f"{machine}.json").read_text())
        return {scene: {name: Figures(**figures) for name, figures in found.items()} for scene, found in saved.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def record(machine: str, last: Run, now: Run, folder: Path = FOLDER) -> None:
    """Keep the figures of this run; scenes and targets that it did not have keep their last ones."""
    merged = {scene: last.get(scene, {}) | now.get(scene, {}) for scene in last | now}
    saved = {scene: {name: asdict(each) for name, each in found.items()} for scene, found in merged.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{machine}.json").write_text(json.dumps(saved, indent=1) + "\n")


def markdown(last: Run, now: Run) -> str:
    """Return the table of the difference, one row for each scene that both have."""
    rows = [
        _row(scene, last[scene], figures)
        for scene, figures in now.items()
        if OURS in figures and OURS in last.get(scene, {})
    ]
    if not rows:
        return NONE
    head = (
        "scene", "CPU µs/call then", "now", "change", "calls/s", "naive: CPU", "nginx: CPU", "naive ÷ mcppool", "then",
    )  # fmt: skip
    title = (
        "**Difference to the last run on this machine** (change of medians; the peers' show the machine's own drift)"
    )
    return f"{title}\n\n{table(head, rows)}"


def _row(scene: str, last: Mapping[str, Figures], now: Mapping[str, Figures]) -> list[str]:
    then, ours = last[OURS], now[OURS]
    peers = {name: (last[name].cpu, now[name].cpu) for name in ("naive", "nginx") if name in last and name in now}
    over = ""
    if "naive" in peers:
        before, after = peers["naive"]
        over = change(before / then.cpu, after / ours.cpu)
    noisy = any(each.others > NOISY for each in (then, ours))
    return [
        scene + (" (noisy)" if noisy else ""),
        f"{then.cpu * 1e6:.1f}", f"{ours.cpu * 1e6:.1f}", change(then.cpu, ours.cpu), change(then.rate, ours.rate),
        *(change(*peers[name]) if name in peers else "" for name in ("naive", "nginx")),
        over, then.version,
    ]  # fmt: skip


def change(then: float, now: float) -> str:
    """Return a change in percent."""
    return f"{(now / then - 1) * 100:+.1f} %" if then else ""
