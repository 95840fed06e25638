from __future__ import annotations

from typing import Any

import pytest

from mcppool_operator.children import Owner
from mcppool_operator.children.ownership import ADOPT, APPLIED, Ownership, difference, marked, ownership

OWNER = Owner("default", "search", "uid-now")


def owned(**reference: Any) -> dict[str, Any]:
    ours = {"apiVersion": "mcppool.dev/v1alpha1", "kind": "McpServerPool", "name": "search", "uid": "uid-now"}
    return {"metadata": {"name": "x", "ownerReferences": [{**ours, "controller": True, **reference}]}}


def annotated(live: dict[str, Any]) -> dict[str, Any]:
    live["metadata"]["annotations"] = {ADOPT: "search"}
    return live


@pytest.mark.parametrize(
    ("live", "whose"),
    [
        (owned(), Ownership.OURS),
        (owned(uid="uid-before"), Ownership.LEFTOVER),
        (owned(uid="uid-before", name="docs"), Ownership.FOREIGN),
        (owned(uid="uid-before", apiVersion="apps/v1"), Ownership.FOREIGN),
        (owned(controller=False), Ownership.FOREIGN),
        ({"metadata": {"name": "x"}}, Ownership.FOREIGN),
        ({"metadata": {"name": "x", "annotations": {ADOPT: "search"}}}, Ownership.OFFERED),
        ({"metadata": {"name": "x", "annotations": {ADOPT: "docs"}}}, Ownership.FOREIGN),
        (annotated(owned(name="docs", uid="uid-docs")), Ownership.FOREIGN),
        (annotated(owned(controller=False)), Ownership.OFFERED),
        (annotated(owned()), Ownership.OURS),
        ({"metadata": {"name": "x", "labels": OWNER.labels}}, Ownership.FOREIGN),
    ],
)
def test_only_the_controller_reference_decides_the_owner(live: dict[str, Any], whose: Ownership) -> None:
    assert ownership(live, OWNER) is whose


def test_additions_of_the_api_server_and_of_others_are_no_difference() -> None:
    desired = {"spec": {"ports": [{"name": "http", "port": 80}]}, "metadata": {"labels": {"a": "1"}}}
    live = {
        "spec": {"ports": [{"name": "http", "port": 80, "nodePort": 30000}], "clusterIP": "10.0.0.1"},
        "metadata": {"labels": {"a": "1", "theirs": "2"}, "uid": "u"},
    }
    assert difference(desired, live) is None


@pytest.mark.parametrize(
    "live",
    [
        {"spec": {"replicas": 3, "list": [1]}},
        {"spec": {"list": [1]}},
        {"spec": {"replicas": 2, "list": [1, 2]}},
        {"spec": {"replicas": 2, "list": None}},
        {"spec": None},
        {},
    ],
)
def test_drift_is_a_difference(live: dict[str, Any]) -> None:
    assert difference({"spec": {"replicas": 2, "list": [1]}}, live) is not None


def test_a_field_that_is_no_longer_wanted_shows_in_the_digest() -> None:
    before = marked({"metadata": {"name": "x"}, "spec": {"a": 1, "b": 2}})
    after = marked({"metadata": {"name": "x"}, "spec": {"a": 1}})
    assert difference({"spec": {"a": 1}}, before) is None
    assert difference(after, before) is not None
    assert (
        before["metadata"]["annotations"][APPLIED]
        == marked({"spec": {"b": 2, "a": 1}, "metadata": {"name": "x"}})["metadata"]["annotations"][APPLIED]
    )


@pytest.mark.parametrize(
    ("desired", "live"),
    [
        ({"requests": {"cpu": "1000m"}}, {"requests": {"cpu": "1"}}),
        ({"limits": {"memory": "1024Mi"}}, {"limits": {"memory": "1Gi"}}),
        ({"requests": {"cpu": 1}}, {"requests": {"cpu": "1"}}),
        ({"emptyDir": {"sizeLimit": "1024Ki"}}, {"emptyDir": {"sizeLimit": "1Mi"}}),
        ({"env": [], "labels": {}, "note": None}, {}),
        ({"env": [], "labels": {}}, {"env": None, "labels": None}),
    ],
)
def test_another_spelling_of_the_api_server_is_no_difference(desired: Any, live: Any) -> None:
    assert difference({"spec": desired}, {"spec": live}) is None


@pytest.mark.parametrize(
    ("desired", "live", "words"),
    [
        ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "2"}}, "spec.requests.cpu is '2' and not '1'"),
        ({"image": "1000m"}, {"image": "1"}, "spec.image is '1' and not '1000m'"),
        ({"ports": [{"port": 1}]}, {"ports": [{"port": 2}]}, "spec.ports[0].port is 2 and not 1"),
        ({"env": [{"name": "a"}]}, {"env": [{"name": "a"}, {"name": "b"}]}, "spec.env has 2 entries and not 1: b"),
        ({"args": ["a"]}, {}, "spec.args is missing"),
        ({"args": ["a"]}, {"args": None}, "spec.args is None"),
        ({"labels": {"a": "b"}}, {"labels": None}, "spec.labels is None"),
    ],
)
def test_a_difference_is_reported_with_its_path(desired: Any, live: Any, words: str) -> None:
    assert difference({"spec": desired}, {"spec": live}) == words
