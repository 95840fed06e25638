"""Verdicts as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.faults.scene import RECOVERED
from bench.faults.verdict import Latency, Verdict
from bench.report import table, versions_line

HEAD = (
    "case", "target", "calls", "reads failed", "writes failed", "at the replica", "0 / 1 / 2+ executions", "wrong",
    "sessions", "p50/p99 before", "during", "after", "waited", "longest read", "longest write",
    "recovers after s", "share", "promise",
)  # fmt: skip


def markdown(versions: Mapping[str, str], verdicts: Sequence[Verdict]) -> str:
    """The table, the failures by kind, and the broken parts of the promise."""
    parts = [versions_line(versions), table(HEAD, [row(verdict) for verdict in verdicts])]
    failed = [f"* {v.case}, {v.target}: {_failures(v)}." for v in verdicts if v.failures]
    if failed:
        parts.append("Failures by class:\n\n" + "\n".join(failed))
    inside = [f"* {v.case}: {v.inside} calls were inside the killed process." for v in verdicts if v.inside]
    if inside:
        parts.append("Broke off with a process of the gateway:\n\n" + "\n".join(inside))
    broken = [f"* {v.case}: {sentence}." for v in verdicts for sentence in v.broken]
    broken += [f"* {v.case}: p99 grew by more than 100 ms." for v in verdicts if v.slowed and v.target == "mcppool"]
    parts.append("Promise broken:\n\n" + "\n".join(broken) if broken else "The promise was kept in every case.")
    return "\n\n".join(parts)


def row(verdict: Verdict) -> list[str]:
    """One line of the table."""
    counts = verdict.executions
    twice = sum(number for times, number in counts.items() if times > 1)
    return [
        verdict.case,
        verdict.target,
        f"{verdict.calls:,}" + (f" + {verdict.sdk_calls}" if verdict.sdk_calls else ""),
        f"{verdict.reads_failed:,}",
        f"{verdict.writes_failed:,}",
        "" if verdict.at_replica is None else f"{verdict.at_replica:,}",
        f"{counts.get(0, 0):,} / {counts.get(1, 0):,} / {twice:,}",
        str(verdict.wrong),
        str(verdict.new_sessions),
        _shown(verdict.before),
        _shown(verdict.during),
        _shown(verdict.after),
        str(verdict.waited),
        f"{verdict.longest_read:.2f} s",
        f"{verdict.longest_write:.2f} s",
        f"> {RECOVERED:g}" if verdict.recovered is None else f"{verdict.recovered:.2f}",
        "" if verdict.share is None else f"{verdict.share:.1%}",
        "" if verdict.target != "mcppool" else "broken" if verdict.broken or verdict.slowed else "kept",
    ]


def line(verdict: Verdict) -> str:
    """One case, as soon as it is over."""
    said = [" | ".join(f"{name} {value}" for name, value in zip(HEAD, row(verdict), strict=True) if value)]
    if verdict.failures:
        said.append(f"    failed: {_failures(verdict)}")
    said += [f"    BROKEN: {sentence}" for sentence in verdict.broken]
    return "\n".join(said)


def _failures(verdict: Verdict) -> str:
    return "; ".join(f"{number} × {name}" for name, number in verdict.failures.items())


def _shown(latency: Latency) -> str:
    return f"{latency.p50 * 1e3:.1f}/{latency.p99 * 1e3:.0f}"
