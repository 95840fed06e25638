"""A difference that an apply did not remove is reported, and not applied again until something changes."""

from __future__ import annotations

from typing import Any

from mcppool_operator.children.ownership import marked
from mcppool_operator.drift import Drifts
from mcppool_operator.resources import DEPLOYMENT

PLACE = (DEPLOYMENT, "default", "search-mcp-gateway")


def deployment(*containers: str, **status: Any) -> dict[str, Any]:
    body = {"metadata": {"name": "search-mcp-gateway"}, "spec": {"containers": [{"name": name} for name in containers]}}
    return {**marked(body), "status": status}


def test_an_entry_of_another_manager_is_reported_once_applied_and_known_from_then_on() -> None:
    drifts, desired = Drifts(), deployment("gateway")
    live = {**desired, "spec": deployment("gateway", "sidecar")["spec"]}
    assert not drifts.is_known(PLACE, desired, live)
    assert drifts.note(PLACE, desired, live) == "spec.containers has 2 entries and not 1: sidecar"
    assert drifts.is_known(PLACE, desired, {**live, "status": {"replicas": 3}})


def test_it_is_applied_again_when_either_changes() -> None:
    drifts, desired = Drifts(), deployment("gateway")
    live = {**desired, "spec": deployment("gateway", "sidecar")["spec"]}
    drifts.note(PLACE, desired, live)
    assert not drifts.is_known(PLACE, desired, {**live, "spec": deployment("gateway", "other")["spec"]})
    assert not drifts.is_known(PLACE, deployment("gateway2"), live)


def test_differences_that_ended_are_forgotten() -> None:
    drifts, desired = Drifts(), deployment("gateway")
    live = {**desired, "spec": deployment("gateway", "sidecar")["spec"]}
    drifts.note(PLACE, desired, live)
    assert drifts.note(PLACE, desired, desired) is None
    assert not drifts.is_known(PLACE, desired, live)
    drifts.note(PLACE, desired, live)
    drifts.forget("default", "other")
    assert drifts.is_known(PLACE, desired, live)
    drifts.forget("default", "search")
    assert not drifts.is_known(PLACE, desired, live)
