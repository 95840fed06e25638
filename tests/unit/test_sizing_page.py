"""The figures that people size by are those of the benchmarks, give or take a factor of two."""

from __future__ import annotations

import re

import pytest

from tests.requirements import ROOT

SIZING = (ROOT / "docs/how-to/production.md").read_text().partition("## Sizing")[2]
MEASURED = (ROOT / "docs/reference/benchmarks.md").read_text()
EVERYDAY = MEASURED.partition("**everyday**")[2]


def figure(pattern: str, text: str) -> float:
    """The first number that the pattern finds."""
    found = re.search(pattern, text)
    assert found, pattern
    return float(found[1].replace(",", ""))


@pytest.mark.parametrize(
    ("told", "measured", "text"),
    [
        (r"about (\d+) µs a call of today's SDKs", r"\| mcppool +\|(?:[^|]*\|){3} *([\d.]+) \|", EVERYDAY),
        (r"about ([\d,]+) calls per second on one core", r"\| mcppool +\| *([\d,]+) \|", EVERYDAY),
        (r"(\d+) KB for each idle session", r"\| memory per idle session[^|]*\| *([\d.]+) KB", MEASURED),
        (r"(\d+) KB for each open event stream", r"\| memory per open event stream[^|]*\| *([\d.]+) KB", MEASURED),
        (r"about (\d+) MB idle", r"\| mcppool +\| *[\d.]+ \| *(\d+) \|", MEASURED),
        (r"a peak of (\d+) MB", r"\| peak resident memory, second start *\| *(\d+) MB", MEASURED),
    ],
)
def test_a_figure_for_sizing_is_what_was_measured(told: str, measured: str, text: str) -> None:
    assert 0.5 <= figure(told, SIZING) / figure(measured, text) <= 2
