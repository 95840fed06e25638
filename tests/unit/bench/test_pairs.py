"""Two gateways at a time: ratios are those of the same moment."""

from __future__ import annotations

from bench.measure import Round
from bench.pairs import Pair, figures, shown


def rounds(*costs: float) -> list[Round]:
    return [Round(1000, 1000.0, 0.001, 0.002, cost, 0.0, 0, 1000) for cost in costs]


def test_ratios_are_taken_round_by_round() -> None:
    pair = Pair(first=rounds(1.0, 2.0, 10.0, 4.0), rounds=rounds(1.5, 3.0, 15.0, 6.0))
    assert pair.ratios == [1.5] * 4
    assert shown(pair) == "1.500 (1.50–1.50)"


def test_one_slow_round_does_not_change_what_is_shown() -> None:
    pair = Pair(first=rounds(*[1.0] * 7), rounds=rounds(1.0, 1.0, 1.0, 9.0, 1.0, 1.0, 1.0))
    assert shown(pair) == "1.000 (1.00–1.00)"


def test_a_single_round_is_its_own_middle() -> None:
    assert shown(Pair(rounds(2.0), rounds(3.0))) == "1.500 (1.50–1.50)"


def test_all_rounds_of_both_are_kept() -> None:
    kept = figures({"on": Pair(rounds(1.0), rounds(2.0))})
    assert [kept["on"][side][0]["cpu"] for side in ("first", "rounds")] == [1.0, 2.0]
