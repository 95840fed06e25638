"""Since when a component has its status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mcppool.observe.since import StatusTimes
from mcppool.observe.views import ComponentHealth, Status

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_a_status_is_since_it_was_seen_first_whatever_its_message() -> None:
    times = StatusTimes()

    def seen(status: Status, message: str, seconds: int) -> datetime | None:
        at = NOW + timedelta(seconds=seconds)
        return times.look({"cache": ComponentHealth(status, message)}, at)["cache"].since

    assert seen("healthy", "well", 0) == NOW
    assert seen("degraded", "away for 1 s", 5) == NOW + timedelta(seconds=5)
    assert seen("degraded", "away for 2 s", 6) == NOW + timedelta(seconds=5)
    assert seen("healthy", "well", 9) == NOW + timedelta(seconds=9)


def test_a_component_that_was_gone_begins_anew() -> None:
    times = StatusTimes()
    times.look({"pool a": ComponentHealth("healthy", "")}, NOW)
    times.look({}, NOW)
    later = NOW + timedelta(seconds=1)
    assert times.look({"pool a": ComponentHealth("healthy", "")}, later)["pool a"].since == later
