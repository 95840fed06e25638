from __future__ import annotations

from typing import Any

import pytest

from mcppool_operator.events import degraded_event, ready_event

POOL = {"metadata": {"namespace": "default", "name": "search", "uid": "u"}}


def status(ready: str | None, reason: str = "Ready") -> dict[str, Any]:
    entry = {"type": "Ready", "status": ready, "reason": reason, "message": f"because of {reason}"}
    return {"conditions": [entry]} if ready else {}


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (status(None), status("False", "Pending"), None),
        (status("False", "Pending"), status("True"), "Normal"),
        (status("True"), status("True"), None),
        (status("True"), status("False", "NoEndpoints"), "Warning"),
        (status("True"), status("False", "RolloutInProgress"), None),
        (status("False", "Pending"), status("False", "MinimumReplicasUnavailable"), None),
        (status("False", "MinimumReplicasUnavailable"), status("False", "GatewaysNotStarting"), "Warning"),
        (status("True"), status("False", "MinimumReplicasUnavailable"), "Warning"),
        (status("False", "NoEndpoints"), status("False", "NoEndpoints"), None),
        (status("False", "NoEndpoints"), status("False", "ServiceNotFound"), "Warning"),
    ],
)
def test_an_event_tells_of_each_change_that_a_person_wants_to_know(
    before: dict[str, Any], after: dict[str, Any], kind: str | None
) -> None:
    event = ready_event(POOL, before, after, "2026-01-01T00:00:00Z")
    assert (event["type"] if event else None) == kind
    if event:
        assert event["involvedObject"]["uid"] == "u"
        assert event["message"].startswith("because of")


def degraded(status: str, reason: str) -> dict[str, Any]:
    return {"conditions": [{"type": "Degraded", "status": status, "reason": reason, "message": reason}]}


WELL, FAILS = degraded("False", "AsExpected"), degraded("True", "CallsFail")


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ({}, WELL, None),
        ({}, FAILS, "Warning"),
        (WELL, FAILS, "Warning"),
        (FAILS, FAILS, None),
        (FAILS, degraded("True", "KindNotServed"), "Warning"),
        (FAILS, WELL, "Normal"),
        (FAILS, {}, None),
    ],
)
def test_an_event_says_when_a_pool_becomes_or_ceases_to_be_degraded(before: Any, after: Any, kind: str | None) -> None:
    event = degraded_event(POOL, before, after, "2026-01-01T00:00:00Z")
    assert (event["type"] if event else None) == kind
