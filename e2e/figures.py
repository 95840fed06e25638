"""Figures of every load: the end of a run prints them as a table. With E2E_WRITE=1 they go into
docs/reference/benchmarks.md."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from bench.machine import host
from bench.report import table, write_section

HEAD = ["test", "calls", "p50 ms", "longest ms", "failed reads", "failed writes", "done twice", "failed clients"]
SECTION = "nodes"

_reports: list[tuple[str, dict[str, Any]]] = []


def note(report: dict[str, Any]) -> None:
    """Keep the final report of a load under the name of the test that runs."""
    _reports.append((os.environ["PYTEST_CURRENT_TEST"].split("::")[-1].split(" ")[0], report))


def summary() -> str:
    """The machine, and a row for each load so far; nothing if there was none."""
    if not _reports:
        return ""
    machine = " · ".join(f"{name} {value}" for name, value in host().items())
    seen: Counter[str] = Counter()
    rows = []
    for test, report in _reports:
        seen[test] += 1
        title = test.removeprefix("test_").replace("_", " ") + (f" ({seen[test]})" if seen[test] > 1 else "")
        rows.append([title, *map(_shown, _cells(report))])
    return f"{machine}\n\n{table(HEAD, rows)}"


def publish() -> None:
    """Write the table into the page, if E2E_WRITE=1 asks for it."""
    if os.environ.get("E2E_WRITE") == "1" and _reports:
        write_section(SECTION, summary())


def _cells(report: dict[str, Any]) -> list[float | None]:
    times = report["milliseconds"]
    writes = report["unsureWrites"] + report["unsentWrites"]
    counts = (report["failedReads"], writes, report["doubleWrites"], report["failedHandshakes"])
    return [report["calls"], times["p50"], times["max"], *counts]


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
