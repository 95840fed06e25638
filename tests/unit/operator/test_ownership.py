from __future__ import annotations

from typing import Any

import pytest

from mcppool_operator.children import Owner
from mcppool_operator.children.ownership import APPLIED, Ownership, in_step, marked, ownership

OWNER = Owner("default", "search", "uid-now")


def owned(**reference: Any) -> dict[str, Any]:
    ours = {"apiVersion": "mcppool.dev/v1alpha1", "kind": "McpServerPool", "name": "search", "uid": "uid-now"}
    return {"metadata": {"name": "x", "ownerReferences": [{**ours, "controller": True, **reference}]}}


@pytest.mark.parametrize(
    ("live", "whose"),
    [
        (owned(), Ownership.OURS),
        (owned(uid="uid-before"), Ownership.LEFTOVER),
        (owned(uid="uid-before", name="docs"), Ownership.FOREIGN),
        (owned(uid="uid-before", apiVersion="apps/v1"), Ownership.FOREIGN),
        (owned(controller=False), Ownership.FOREIGN),
        ({"metadata": {"name": "x"}}, Ownership.FOREIGN),
        ({"metadata": {"name": "x", "labels": OWNER.labels}}, Ownership.FOREIGN),
    ],
)
def test_only_the_controller_reference_says_whose_an_object_is(live: dict[str, Any], whose: Ownership) -> None:
    assert ownership(live, OWNER) is whose


def test_what_the_api_server_and_others_add_is_no_difference() -> None:
    desired = {"spec": {"ports": [{"name": "http", "port": 80}]}, "metadata": {"labels": {"a": "1"}}}
    live = {
        "spec": {"ports": [{"name": "http", "port": 80, "nodePort": 30000}], "clusterIP": "10.0.0.1"},
        "metadata": {"labels": {"a": "1", "theirs": "2"}, "uid": "u"},
    }
    assert in_step(desired, live)


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
    assert not in_step({"spec": {"replicas": 2, "list": [1]}}, live)


def test_a_field_that_is_no_longer_wanted_shows_in_the_digest() -> None:
    before = marked({"metadata": {"name": "x"}, "spec": {"a": 1, "b": 2}})
    after = marked({"metadata": {"name": "x"}, "spec": {"a": 1}})
    assert in_step({"spec": {"a": 1}}, before)
    assert not in_step(after, before)
    assert (
        before["metadata"]["annotations"][APPLIED]
        == marked({"spec": {"b": 2, "a": 1}, "metadata": {"name": "x"}})["metadata"]["annotations"][APPLIED]
    )
