"""Tables of the benchmark."""

from __future__ import annotations

import re

from bench.measure import Round
from bench.report import HERE, NOISY, PAGE, Measured, Report, scene_table
from bench.scenes import Aims, Scene

PLAIN = Scene("plain", "the plain case", aims=Aims(naive=4))
OTHER = Scene("other", "another case", beside="plain", aims=Aims(beside=1.05))


def rounds(*costs: float, rate: float = 1000.0, others: float = 0.0) -> list[Round]:
    return [Round(10, rate, 0.001, 0.002, cost, others, 0, 10) for cost in costs]


def cells(text: str) -> list[list[str]]:
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_overview_shows_each_ratio_beside_its_aim() -> None:
    plain = {"nginx": rounds(20e-6, rate=2000.0), "naive": rounds(200e-6), "mcppool": rounds(50e-6)}
    other = {"nginx": rounds(20e-6), "naive": rounds(220e-6), "mcppool": rounds(55e-6)}
    report = Report({}, [Measured(PLAIN, 1, plain), Measured(OTHER, 1, other)], {})
    assert cells(report.overview()) == [
        ["plain", "20.0", "200.0", "50.0", "4.00", "≥ 4", "", "", "0.50"],
        ["other", "20.0", "220.0", "55.0", "4.00", "", "1.10 of plain", "≤ 1.05", "1.00"],
    ]


def test_ratios_are_taken_round_by_round() -> None:
    drifting = {"naive": rounds(100e-6, 200e-6, 400e-6), "mcppool": rounds(25e-6, 50e-6, 100e-6)}
    report = Report({}, [Measured(PLAIN, 1, drifting)], {})
    assert cells(report.overview())[0][4] == "4.00"


def test_a_scene_whose_counterpart_was_not_measured_has_no_ratio_beside_it() -> None:
    report = Report({}, [Measured(OTHER, 1, {"mcppool": rounds(55e-6)})], {})
    assert cells(report.overview())[0][4:] == ["", "", "", "≤ 1.05", ""]


def test_a_table_of_a_scene_says_what_it_shows() -> None:
    text = scene_table(Measured(OTHER, 2, {"direct": rounds(0.0), "mcppool": rounds(50e-6)}))
    assert text.startswith("**other**: another case (modern era, 32 clients, 1 round of 2 s)")
    assert [row[0] for row in cells(text)] == ["direct", "mcppool"]


def test_one_disturbed_target_makes_the_report_noisy() -> None:
    calm = Measured(PLAIN, 1, {"naive": rounds(1e-6), "mcppool": rounds(1e-6)})
    disturbed = Measured(PLAIN, 1, {"naive": rounds(1e-6), "mcppool": rounds(1e-6, others=2 * NOISY)})
    assert Report({}, [calm], {}).others() <= NOISY
    assert Report({}, [calm, disturbed], {}).others() > NOISY


def test_each_section_that_a_benchmark_writes_is_on_the_page() -> None:
    programs = [path.read_text() for path in HERE.rglob("*.py")]
    names = {name for text in programs for name in re.findall(r'(?:write_section|command\.run)\("(\w+)"', text)}
    assert "throughput" in names
    page = PAGE.read_text()
    for name in names:
        assert f"<!-- bench:{name} -->" in page
        assert f"<!-- /bench:{name} -->" in page
