"""Lost calls by reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mcppool.observe.losses import QUIET, Losses

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_reason_is_since_its_first_call_and_names_its_last() -> None:
    losses = Losses()
    losses.add("timeout", NOW, "find", "a", "no answer")
    losses.add("timeout", NOW + QUIET, "fetch", "b", "x" * 1000)
    (loss,) = losses.by_reason.values()
    assert (loss.since, loss.last, loss.count, loss.total) == (NOW, NOW + QUIET, 2, 2)
    assert (loss.name, loss.endpoint, len(loss.detail)) == ("fetch", "b", 300)


def test_a_reason_that_was_over_begins_anew() -> None:
    losses = Losses()
    losses.add("timeout", NOW, "find", None, "")
    again = NOW + QUIET + timedelta(seconds=1)
    losses.add("timeout", again, "find", None, "")
    (loss,) = losses.by_reason.values()
    assert (loss.since, loss.count, loss.total) == (again, 1, 2)
