from __future__ import annotations

from mcppool_operator.children.merge import merge


def test_objects_are_merged_and_null_removes() -> None:
    assert merge({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": None, "e": 4}}) == {"a": {"b": 1, "e": 4}, "d": 3}


def test_named_elements_are_merged_by_name_and_new_ones_come_last() -> None:
    base = [{"name": "gateway", "image": "a", "env": [{"name": "X", "value": "1"}]}]
    patch = [{"name": "sidecar", "image": "s"}, {"name": "gateway", "env": [{"name": "Y", "value": "2"}]}]
    assert merge({"containers": base}, {"containers": patch})["containers"] == [
        {"name": "gateway", "image": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
        {"name": "sidecar", "image": "s"},
    ]


def test_mounts_are_told_apart_by_their_path() -> None:
    base = {"volumeMounts": [{"name": "config", "mountPath": "/etc/a"}]}
    patch = {"volumeMounts": [{"name": "config", "mountPath": "/etc/b"}]}
    assert len(merge(base, patch)["volumeMounts"]) == 2


def test_other_lists_are_replaced() -> None:
    assert merge({"args": ["a", "b"]}, {"args": ["c"]}) == {"args": ["c"]}
    assert merge({"tolerations": [{"key": "a"}]}, {"tolerations": []}) == {"tolerations": []}


def test_nothing_that_was_given_is_changed() -> None:
    base = {"containers": [{"name": "gateway", "env": []}]}
    merge(base, {"containers": [{"name": "gateway", "env": [{"name": "X"}]}]})
    assert base == {"containers": [{"name": "gateway", "env": []}]}
