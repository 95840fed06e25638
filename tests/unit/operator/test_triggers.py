from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcppool_operator.triggers import Index, key_of, owning_pool, split_key


def pool(name: str, service: str | None) -> dict[str, Any]:
    source = {"type": "Service", "service": {"name": service, "port": 80}} if service else {"type": "Static"}
    return {"metadata": {"namespace": "default", "name": name}, "spec": {"source": source}}


def service(name: str, namespace: str = "default") -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name}}


def endpoint_slice(of: str) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": of}
    return {"metadata": {"namespace": "default", "name": f"{of}-x", "labels": labels}}


def child(owner: str, **reference: Any) -> dict[str, Any]:
    owners = [
        {"apiVersion": "mcppool.dev/v1alpha1", "kind": "McpServerPool", "name": owner, "controller": True, **reference}
    ]
    return {"metadata": {"namespace": "default", "name": "child", "ownerReferences": owners}}


def test_a_key_can_be_taken_apart_again() -> None:
    assert split_key(key_of("team-a", "search")) == ("team-a", "search")


def test_a_slice_concerns_the_pools_of_its_service_only() -> None:
    index = Index()
    index.pool_changed(pool("one", "search"), deleted=False)
    index.pool_changed(pool("two", "search"), deleted=False)
    index.pool_changed(pool("three", "docs"), deleted=False)
    assert index.slice_changed(endpoint_slice("search")) == {"default/one", "default/two"}
    assert index.service_changed(service("docs")) == {"default/three"}
    assert index.service_changed(service("search", "elsewhere")) == set()
    assert index.slice_changed({"metadata": {"namespace": "default", "name": "unlabelled"}}) == set()


def test_a_pool_that_turns_to_another_service_leaves_the_first() -> None:
    index = Index()
    index.pool_changed(pool("one", "search"), deleted=False)
    assert index.pool_changed(pool("one", "docs"), deleted=False) == {"default/one"}
    assert index.slice_changed(endpoint_slice("search")) == set()
    assert index.slice_changed(endpoint_slice("docs")) == {"default/one"}


def test_a_child_concerns_the_pool_that_controls_it() -> None:
    index = Index()
    assert index.child_changed(child("search")) == {"default/search"}
    assert index.child_changed(child("search", controller=False)) == set()
    assert index.child_changed(child("search", kind="Deployment")) == set()
    assert index.child_changed(child("search", apiVersion="example.com/v1")) == set()
    assert owning_pool({"metadata": {"namespace": "default", "name": "orphan"}}) is None


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["one", "two", "three"]),
        st.sampled_from([None, "search", "docs", "gone"]),  # "gone": the pool is deleted
        st.sampled_from(["delivered", "delivered twice", "lost"]),
    ),
    max_size=40,
)


@given(CHANGES)
def test_whatever_events_are_lost_or_repeated_a_fresh_list_puts_everything_right(
    changes: list[tuple[str, str | None, str]],
) -> None:
    index, world = Index(), dict[str, dict[str, Any]]()
    missed: set[str] = set()
    for name, target, delivery in changes:
        deleted = target == "gone"
        changed = pool(name, target)
        if deleted:
            world.pop(name, None)
        else:
            world[name] = changed
        if delivery == "lost":
            missed.add(f"default/{name}")
        for _ in range({"lost": 0, "delivered": 1, "delivered twice": 2}[delivery]):
            assert index.pool_changed(changed, deleted=deleted) == {f"default/{name}"}
            missed.discard(f"default/{name}")
    asked = index.replace(world.values())
    known_or_there = {key for key in missed if split_key(key)[1] in world}
    assert known_or_there <= asked
    fresh = Index()
    fresh.replace(world.values())
    for target in ("search", "docs", "gone"):
        using = {f"default/{name}" for name, obj in world.items() if _target(obj) == target}
        assert index.slice_changed(endpoint_slice(target)) == fresh.slice_changed(endpoint_slice(target)) == using


@given(st.lists(st.sampled_from(["one", "two", "three"]), unique=True))
def test_a_pool_whose_deletion_was_never_reported_is_reconciled_once_more_by_the_next_list(left: list[str]) -> None:
    index = Index()
    for name in ("one", "two", "three"):
        index.pool_changed(pool(name, None), deleted=False)
    assert index.replace([pool(name, None) for name in left]) == {"default/one", "default/two", "default/three"}
    assert index.replace([pool(name, None) for name in left]) == {f"default/{name}" for name in left}


def _target(obj: dict[str, Any]) -> str | None:
    name: str | None = obj["spec"]["source"].get("service", {}).get("name")
    return name


def test_slices_of_a_service_of_our_own_concern_the_pool_that_it_was_made_for() -> None:
    index = Index()
    for name, kind in (("one", "Managed"), ("two", "Pods"), ("three", "Static")):
        entry = {"metadata": {"namespace": "default", "name": name}, "spec": {"source": {"type": kind}}}
        index.pool_changed(entry, deleted=False)
    assert index.slice_changed(endpoint_slice("one-mcp-server")) == {"default/one"}
    assert index.slice_changed(endpoint_slice("two-mcp-pods")) == {"default/two"}
    assert index.slice_changed(endpoint_slice("three-mcp-server")) == set()
