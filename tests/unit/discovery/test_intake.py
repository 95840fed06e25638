"""The choice of the snapshot in force, for any order of arrivals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcppool.discovery.intake import Intake
from tests.unit.discovery.recorder import Recorder, port, text


def intake_of(recorder: Recorder) -> Intake:
    return Intake(recorder.publish, recorder.refuse, recorder.log)


def ports_in_force(*texts: str) -> list[int]:
    recorder = Recorder()
    intake = intake_of(recorder)
    for one in texts:
        intake.take(one, "test")
    return [port(snapshot) for snapshot in recorder.published]


def test_a_new_content_of_the_same_generation_comes_into_force() -> None:
    assert ports_in_force(text(1), text(2), text(1)) == [1, 2, 1]


def test_the_same_snapshot_again_is_no_news() -> None:
    assert ports_in_force(text(1), text(1)) == [1]


def test_an_older_generation_of_the_same_term_is_ignored() -> None:
    assert ports_in_force(text(1, generation=7), text(2, generation=6), text(3, generation=8)) == [1, 3]


def test_an_earlier_term_is_ignored_whatever_its_generation() -> None:
    assert ports_in_force(text(1, term=3), text(2, term=2, generation=99)) == [1]


def test_a_later_term_counts_whatever_its_generation() -> None:
    assert ports_in_force(text(1, term=3, generation=9), text(2, term=4, generation=1)) == [1, 2]


def test_an_earlier_term_is_reported_once() -> None:
    recorder = Recorder()
    intake = intake_of(recorder)
    for one in (text(1, term=3), text(2, term=2), text(4, term=2)):
        intake.take(one, "the mounted file")
    assert recorder.log.lines == ["snapshot_of_an_earlier_term source=the mounted file term=2 in_force=3"]


def test_garbage_is_refused_once_and_leaves_the_last_good_one() -> None:
    recorder = Recorder()
    intake = intake_of(recorder)
    for one in (text(1), "{", "{", "[]"):
        intake.take(one, "test")
    assert recorder.said == (1, 2)
    assert not intake.empty


def test_the_snapshot_in_force_ends_a_refusal() -> None:
    recorder = Recorder()
    intake = intake_of(recorder)
    for one in (text(1), "{", text(1), text(1)):
        intake.take(one, "test")
    assert recorder.said == (2, 1)


def test_a_damaged_snapshot_is_refused() -> None:
    recorder = Recorder()
    intake_of(recorder).take(text(1).replace(":1/mcp", ":2/mcp"), "test")
    assert recorder.said == (0, 1)
    assert "damaged" in str(recorder.refused[0])


@given(st.permutations([(term, generation) for term in (1, 2, 3) for generation in (1, 2)]), st.data())
def test_in_any_order_the_latest_is_in_force_in_the_end(order: list[tuple[int, int]], data: st.DataObject) -> None:
    recorder = Recorder()
    intake = intake_of(recorder)
    for term, generation in order:
        intake.take(text(10 * term + generation, term, generation), "test")
        if data.draw(st.booleans()):
            intake.take("garbage", "test")
    ports = [port(snapshot) for snapshot in recorder.published]
    assert ports == sorted(ports)
    assert ports[-1] == 32
