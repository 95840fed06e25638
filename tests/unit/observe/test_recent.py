"""The memory of recent events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mcppool.observe.recent_events import LIMIT, MAX_DETAIL, RecentEvents

START = datetime(2026, 1, 2, tzinfo=UTC)


def test_the_newest_comes_first_and_the_oldest_is_forgotten() -> None:
    recent = RecentEvents()
    for n in range(LIMIT + 5):
        recent.add(f"http://{n}/", "connect_failed", "refused", START + timedelta(seconds=n))
    found = [event.endpoint for event in recent.newest_first()]
    assert found == [f"http://{n}/" for n in reversed(range(5, LIMIT + 5))]


def test_a_flood_of_one_fault_is_counted_and_does_not_wash_away_the_others() -> None:
    recent = RecentEvents()
    recent.add("http://a/", "hung", "", START)
    for n in range(10_000):
        recent.add("http://b/", "timeout", "late", START + timedelta(seconds=n))
    newest, oldest = recent.newest_first()
    assert (newest.endpoint, newest.count, newest.at) == ("http://b/", 10_000, START + timedelta(seconds=9_999))
    assert (oldest.endpoint, oldest.count) == ("http://a/", 1)


def test_a_long_detail_is_cut() -> None:
    recent = RecentEvents()
    recent.add("http://a/", "bad_upstream_answer", "x" * 100_000, START)
    assert len(recent.newest_first()[0].detail) == MAX_DETAIL
