"""The difference between two runs of the benchmark."""

from __future__ import annotations

from pathlib import Path

from bench import difference
from bench.difference import Figures
from bench.measure import Round
from bench.report import Measured, Report
from bench.scenes import SCENES


def figures(cpu: float, rate: float = 1000.0, others: float = 0.0) -> Figures:
    return Figures(cpu, rate, others, "0.1.0 (abc)")


def run(cpu: float, naive: float = 200e-6, others: float = 0.0) -> difference.Run:
    return {"json": {"mcppool": figures(cpu, others=others), "naive": figures(naive)}}


def cells(text: str) -> list[list[str]]:
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_first_run_on_a_machine_says_that_there_is_none_to_compare_with(tmp_path: Path) -> None:
    last = difference.read("machine", tmp_path)
    assert last == {}
    assert difference.markdown(last, run(50e-6)) == difference.NONE


def test_the_second_run_shows_the_change_since_the_first(tmp_path: Path) -> None:
    difference.record("machine", {}, run(50e-6), tmp_path)
    text = difference.markdown(difference.read("machine", tmp_path), run(40e-6))
    assert cells(text) == [
        ["json", "50.0", "40.0", "-20.0 %", "+0.0 %", "+0.0 %", "", "+25.0 %", "0.1.0 (abc)"],
    ]


def test_a_run_of_another_machine_is_not_compared_with(tmp_path: Path) -> None:
    difference.record("one", {}, run(50e-6), tmp_path)
    assert difference.read("another", tmp_path) == {}


def test_a_run_of_some_scenes_keeps_the_figures_of_the_others(tmp_path: Path) -> None:
    difference.record("machine", {}, run(50e-6) | {"sse": {"mcppool": figures(90e-6)}}, tmp_path)
    difference.record("machine", difference.read("machine", tmp_path), run(40e-6), tmp_path)
    kept = difference.read("machine", tmp_path)
    assert (kept["json"]["mcppool"].cpu, kept["sse"]["mcppool"].cpu) == (40e-6, 90e-6)


def test_a_run_of_some_targets_keeps_the_figures_of_the_others(tmp_path: Path) -> None:
    difference.record("machine", {}, run(50e-6), tmp_path)
    difference.record("machine", difference.read("machine", tmp_path), {"json": {"mcppool": figures(40e-6)}}, tmp_path)
    assert set(difference.read("machine", tmp_path)["json"]) == {"mcppool", "naive"}


def test_an_unreadable_record_counts_as_none(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"json": {"mcppool": {"unknown": 1}}}', '{"json": 1}'):
        (tmp_path / "machine.json").write_text(text)
        assert difference.read("machine", tmp_path) == {}


def test_a_scene_that_other_processes_disturbed_is_called_noisy_in_either_run() -> None:
    for then, now in ((0.2, 0.0), (0.0, 0.2)):
        text = difference.markdown(run(50e-6, others=then), run(50e-6, others=now))
        assert cells(text)[0][0] == "json (noisy)"


def test_the_figures_of_a_report_are_its_medians() -> None:
    rounds = [Round(10, rate, 0.1, 0.2, cpu, 0.0, 0, 10) for rate, cpu in ((1.0, 3.0), (2.0, 1.0), (9.0, 2.0))]
    report = Report({"mcppool": "0.1.0"}, [Measured(SCENES[0], 1, {"mcppool": rounds})], {})
    assert difference.run_of(report) == {SCENES[0].name: {"mcppool": Figures(2.0, 2.0, 0.0, "0.1.0")}}
