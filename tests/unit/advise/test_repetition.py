"""The sketch of repeated calls: exact while it has room, bounded always."""

from __future__ import annotations

from mcppool.advise.repetition import GENERATION, MAX_KEYS, MAX_TOOLS, WINDOW, RepetitionSketch


def test_repeated_calls_are_counted_with_their_results_and_sessions() -> None:
    sketch = RepetitionSketch()
    sketch.note("t", 1, 7, 0, 0.5, 0.0)
    sketch.note("t", 1, 7, 0, 0.5, 1.0)
    sketch.note("t", 1, 8, 5, 0.25, 2.0)
    sketch.note("t", 2, 7, 5, 9.0, 3.0)
    counts = sketch.counts(3.0)["t"]
    assert (counts.sampled, counts.repeated, counts.seconds) == (4, 2, 0.75)
    assert (counts.same, counts.different, counts.other_session, counts.in_session) == (1, 1, 1, 1)


def test_a_call_after_the_window_is_no_repetition_and_begins_a_new_one() -> None:
    sketch = RepetitionSketch()
    for at in (0.0, WINDOW + 1, WINDOW + 2):
        sketch.note("t", 1, 7, 0, 1.0, at)
    assert sketch.counts(WINDOW + 2)["t"].repeated == 1


def test_invented_calls_and_tools_do_not_grow_it() -> None:
    sketch = RepetitionSketch()
    for number in range(3 * MAX_KEYS):
        sketch.note(f"t{number % (2 * MAX_TOOLS)}", number, 0, 0, 1.0, 0.0)
    assert len(sketch) == MAX_KEYS
    assert len(sketch.counts(0.0)) == MAX_TOOLS


def test_a_different_result_counts_for_an_hour_or_two() -> None:
    sketch = RepetitionSketch()
    sketch.note("t", 1, 7, 0, 1.0, 0.0)
    sketch.note("t", 1, 8, 0, 1.0, 1.0)
    assert sketch.counts(GENERATION - 1)["t"].different == 1
    for at in (GENERATION, GENERATION + 1):
        sketch.note("t", 2, 7, 0, 1.0, at)
    both = sketch.counts(2 * GENERATION - 1)["t"]
    assert (both.sampled, both.same, both.different) == (4, 1, 1)
    alone = sketch.counts(2 * GENERATION)["t"]
    assert (alone.sampled, alone.same, alone.different) == (2, 1, 0)


def test_a_tool_that_nobody_calls_any_more_is_forgotten() -> None:
    sketch = RepetitionSketch()
    sketch.note("t", 1, 7, 0, 1.0, 0.0)
    assert sketch.counts(2 * GENERATION) == {}
