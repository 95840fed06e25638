from __future__ import annotations

from typing import Any

import pytest

from mcppool_operator.pods import Pod, causes


def pod(address: str = "10.0.0.1", ready: str = "True", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "a", **metadata},
        "spec": {},
        "status": {"podIP": address, "conditions": [{"type": "Ready", "status": ready}]},
    }


def test_a_pod_is_ready_while_it_takes_calls() -> None:
    assert Pod.of(pod()).ready
    assert not Pod.of(pod(ready="False")).ready
    assert not Pod.of(pod(deletionTimestamp="2026-01-01T00:00:00Z")).ready
    assert not Pod.of({"metadata": {"name": "a"}, "spec": {}}).ready


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        ({}, "Pending"),
        ({"conditions": [{"type": "PodScheduled", "status": "True"}]}, "Pending"),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"}]},
            "Unschedulable (0/3)",
        ),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]},
            "ImagePullBackOff (no such image)",
        ),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}, "CrashLoopBackOff"),
        (
            {"containerStatuses": [{"state": {"terminated": {"reason": "Error", "exitCode": 1}}}]},
            "Error (exit code 1)",
        ),
        ({"containerStatuses": [{"state": {"running": {}}}]}, "not ready"),
        ({"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}, None),
    ],
)
def test_a_pod_that_is_not_ready_has_its_cause(status: dict[str, Any], cause: str | None) -> None:
    assert Pod.of({"metadata": {"name": "a"}, "spec": {}, "status": status}).cause == cause
    going = {"name": "a", "deletionTimestamp": "x"}
    assert Pod.of({"metadata": going, "spec": {}, "status": status}).cause is None


def test_a_pod_is_starting_until_a_container_of_it_has_started() -> None:
    assert Pod.of({"metadata": {"name": "a"}, "status": {}}).starting
    assert not Pod.of({"metadata": {"name": "a"}, "status": {"phase": "Running"}}).starting


def test_how_long_a_pod_waits_is_counted_from_when_it_was_made() -> None:
    waiting = Pod.of(pod(ready="False", creationTimestamp="1970-01-01T00:01:40Z"))
    assert waiting.waits_since(60, now=161)
    assert not waiting.waits_since(60, now=159)
    assert not Pod.of(pod(creationTimestamp="1970-01-01T00:01:40Z")).waits_since(60, now=500)


def test_causes_of_waiting_pods_are_listed_by_name() -> None:
    waiting = Pod.of({"metadata": {"name": "a"}, "status": {}})
    assert causes([Pod.of(pod()), waiting]) == ("a: Pending",)
