"""The facts about sessions that the supervisor keeps."""

from __future__ import annotations

from mcppool.workers.shared_state import SessionFacts

A, B, C = ("http://a", "s1", 1.0), ("http://b", "s2", 2.0), ("http://c", "s3", 3.0)


def test_the_first_worker_to_move_a_session_wins() -> None:
    facts, session = SessionFacts(), ("demo", "token")
    assert facts.move(session, 60, A, B, "info", ["u"]).home == B
    known = facts.move(session, 60, A, C, None, ["v"])
    assert (known.home, known.log_level, known.subscriptions) == (B, "info", ("u",))
    assert facts.move(session, 60, B, C, None, []).home == C
    facts.end(session, 60)
    assert facts.move(session, 60, C, A, None, []).ended
    assert facts.find(("other", "token")).home is None


def test_facts_expire_and_are_bounded_in_number_and_bytes() -> None:
    facts = SessionFacts(most=3, most_bytes=2000)
    for number in range(5):
        facts.end(("demo", str(number)), 60)
    assert len(facts) == 3
    assert not facts.find(("demo", "0")).ended
    facts.note(("demo", "large"), 60, None, "u" * 1900, None)
    assert len(facts) == 0  # it alone is too large with its overhead
    assert facts.bytes == 0
    facts.note(("demo", "short"), 0, "info", None, None)
    assert facts.find(("demo", "short")).log_level is None
    assert len(facts) == 0
