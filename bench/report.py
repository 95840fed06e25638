"""From rounds to a table that a person reads, JSON that a program reads, and the generated part of a docs page."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import Round
from bench.processes import Failed
from bench.scenes import Scene

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "reference" / "benchmarks.md"
NOISY = 0.05
OURS = "mcppool"
COMPILED = "compiled"
OVERVIEW = (
    "scene", "CPU µs/call: nginx", "naive", "mcppool",
    "naive ÷ mcppool", "aim", "÷ own, beside another scene", "aim", "calls/s ÷ nginx",
)  # fmt: skip
OVERVIEW_COMPILED = ("compiled", "mcppool ÷ compiled")


@dataclass(frozen=True)
class Footprint:
    """Seconds from start to serving; resident MB before the first and after the last round."""

    start_seconds: float
    idle_mb: float
    used_mb: float


@dataclass(frozen=True)
class Measured:
    """All rounds of one scene, by target; rounds of one index ran within a minute or two of each other."""

    scene: Scene
    seconds: int
    rounds: Mapping[str, Sequence[Round]]


@dataclass(frozen=True)
class Report:
    versions: Mapping[str, str]
    measured: Sequence[Measured]
    footprints: Mapping[str, Footprint]

    def markdown(self) -> str:
        parts = [versions_line(self.versions), self.overview()]
        parts += [scene_table(each) for each in self.measured]
        parts.append(footprint_table(self.footprints))
        return "\n\n".join(part for part in parts if part)

    def overview(self) -> str:
        """One row for each scene: CPU time per call, and the ratios that are promised, beside the promise."""
        measured = [each for each in self.measured if OURS in each.rounds]
        rows = [self.overview_row(each) for each in measured]
        if not any(COMPILED in each.rounds for each in measured):
            return table(OVERVIEW, rows) if rows else ""
        rows = [row + compiled_cells(each.rounds) for row, each in zip(rows, measured, strict=True)]
        return table(OVERVIEW + OVERVIEW_COMPILED, rows)

    def overview_row(self, measured: Measured) -> list[str]:
        scene, rounds = measured.scene, measured.rounds
        cpu = {name: f"{middle(each, 'cpu') * 1e6:.1f}" for name, each in rounds.items()}
        over_naive = over_nginx = beside = ""
        if "naive" in rounds:
            over_naive = f"{median(ratios(rounds['naive'], rounds[OURS], 'cpu')):.2f}"
        if "nginx" in rounds:
            over_nginx = f"{median(ratios(rounds[OURS], rounds['nginx'], 'rate')):.2f}"
        other = next((each for each in self.measured if each.scene.name == scene.beside), None)
        if other is not None and OURS in other.rounds:
            beside = f"{median(ratios(rounds[OURS], other.rounds[OURS], 'cpu')):.2f} of {scene.beside}"
        aims = scene.aims
        return [
            scene.name, cpu.get("nginx", ""), cpu.get("naive", ""), cpu[OURS],
            over_naive, f"≥ {aims.naive:g}" if aims.naive else "", beside, f"≤ {aims.beside:g}" if aims.beside else "",
            over_nginx,
        ]  # fmt: skip

    def others(self) -> float:
        """The largest share of the cores that other processes took in the rounds of a target."""
        rounds = [each for one in self.measured for each in one.rounds.values()]
        return max((middle(each, "others") for each in rounds), default=0.0)

    def json(self) -> dict[str, Any]:
        return {"when": datetime.now(UTC).isoformat(timespec="seconds"), **asdict(self), "summary": self.summary()}

    def summary(self) -> list[dict[str, Any]]:
        """Medians and ratios, one row per scene and target."""
        rows = []
        for one in self.measured:
            for name, rounds in one.rounds.items():
                row: dict[str, Any] = {"scene": one.scene.name, "target": name}
                row |= {field: middle(rounds, field) for field in ("rate", "p50", "p99", "cpu", "others")}
                row["cpu_over_naive"] = cpu_ratio(one, name)
                row |= {f"times_{peer}": ratio(one, name, peer) for peer in ("naive", "nginx")}
                rows.append(row)
        return rows


def middle(rounds: Iterable[Round], field: str) -> float:
    value: float = median(getattr(each, field) for each in rounds)
    return value


def ratios(ours: Sequence[Round], theirs: Sequence[Round], field: str) -> list[float]:
    """The ratio of a figure, round by round: drift of the machine cancels."""
    return [getattr(one, field) / getattr(other, field) for one, other in zip(ours, theirs, strict=True)]


def ratio(measured: Measured, name: str, peer: str) -> list[float] | None:
    """[median, lowest, highest] ratio of calls per second."""
    if peer not in measured.rounds or name == peer:
        return None
    found = ratios(measured.rounds[name], measured.rounds[peer], "rate")
    return [median(found), min(found), max(found)]


def compiled_cells(rounds: Mapping[str, Sequence[Round]]) -> list[str]:
    """CPU time per call of the compiled build, and how many times as much the other one uses."""
    if COMPILED not in rounds:
        return ["", ""]
    return [
        f"{middle(rounds[COMPILED], 'cpu') * 1e6:.1f}",
        f"{median(ratios(rounds[OURS], rounds[COMPILED], 'cpu')):.2f}",
    ]


def cpu_ratio(measured: Measured, name: str) -> float | None:
    """CPU time per call over the naive proxy's; other processes disturb it least."""
    if "naive" not in measured.rounds or name in ("naive", "direct"):
        return None
    return median(ratios(measured.rounds[name], measured.rounds["naive"], "cpu"))


def versions_line(versions: Mapping[str, str]) -> str:
    return " · ".join(f"{name} {version}" for name, version in versions.items())


def scene_table(measured: Measured) -> str:
    scene = measured.scene
    count = len(next(iter(measured.rounds.values())))
    rows = []
    for name, each in measured.rounds.items():
        on_core = name != "direct"
        relative = cpu_ratio(measured, name)
        rows.append(
            [
                name,
                f"{middle(each, 'rate'):,.0f}",
                f"{middle(each, 'p50') * 1e3:.2f}",
                f"{middle(each, 'p99') * 1e3:.2f}",
                f"{middle(each, 'cpu') * 1e6:.1f}" if on_core else "",
                shown(ratio(measured, name, "naive")),
                shown(ratio(measured, name, "nginx")),
                f"{relative:.2f}" if relative else "",
                noise(middle(each, "others")),
            ]
        )
    what = f"{scene.era} era, {counted(scene.clients, 'client')}, {counted(count, 'round')} of {measured.seconds} s"
    head = ["target", "calls/s", "p50 ms", "p99 ms", "CPU µs/call", "× naive", "× nginx", "CPU ÷ naive", "others"]
    return f"**{scene.name}**: {scene.shows} ({what})\n\n{table(head, rows)}"


def footprint_table(footprints: Mapping[str, Footprint]) -> str:
    rows = [[name, f"{f.start_seconds:.2f}", f"{f.idle_mb:.0f}", f"{f.used_mb:.0f}"] for name, f in footprints.items()]
    return table(["target", "serves after s", "resident MB, idle", "after the load"], rows) if rows else ""


def shown(ratio: list[float] | None) -> str:
    return f"{ratio[0]:.2f} ({ratio[1]:.2f}–{ratio[2]:.2f})" if ratio else ""


def noise(others: float) -> str:
    return f"{others:.0%}" + (" (noisy)" if others > NOISY else "")


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns; the first column is text, the others are figures."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = (cell.rjust(widths[i]) if i else cell.ljust(widths[i]) for i, cell in enumerate(row))
        return f"| {' | '.join(cells)} |"

    rule = "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths))
    return "\n".join([line(head), f"|{rule}|", *map(line, rows)])


def save(name: str, result: Mapping[str, Any]) -> Path:
    """Write bench/results/NAME.json (the latest) and a copy with its time."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1)
    latest = RESULTS / f"{name}.json"
    for path in (RESULTS / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json", latest):
        path.write_text(text + "\n")
    return latest


def write_section(name: str, text: str, page: Path = PAGE) -> None:
    """Replace the text between the markers `<!-- bench:NAME -->` and `<!-- /bench:NAME -->` of the page."""
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise Failed(f"{page} has no section between {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def choices(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    """The type of an option that takes some of these names, with commas between them."""

    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in allowed]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(allowed)}")
        return chosen

    return parse
