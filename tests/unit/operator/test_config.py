from __future__ import annotations

import json
from typing import Any

import pytest

from mcppool.spec import EndpointSpec
from mcppool.spec.resource import Resource, read_resource
from mcppool_operator.children import Owner
from mcppool_operator.children.config import (
    Published,
    SnapshotTooLargeError,
    config_map,
    endpoint_specs,
    next_snapshot,
    published_endpoints,
    read_published,
)
from mcppool_operator.resolve import ResolvedEndpoint, State

OWNER = Owner("default", "search", "uid")
ONE = (EndpointSpec(url="http://10.0.0.1:8000/mcp"),)
TWO = (*ONE, EndpointSpec(url="http://10.0.0.2:8000/mcp"))


@pytest.fixture
def resource() -> Resource:
    return read_resource(
        {
            "metadata": {"name": "search", "namespace": "default", "generation": 1},
            "spec": {
                "source": {"type": "Service", "service": {"name": "search", "port": "http"}},
                "auth": {"inbound": {"type": "None"}},
            },
        }
    )


def through_the_cluster(published: Published) -> Published:
    found = read_published(config_map(OWNER, published))
    assert found is not None
    return found


def test_a_snapshot_says_where_gateways_listen_in_their_pods(resource: Resource) -> None:
    written = json.loads(next_snapshot(resource, ONE, 4, None).text)
    assert written["listener"]["listen"] == "0.0.0.0:8080"
    assert written["listener"]["sealing_keys"] == "/etc/mcppool/keys/keys"
    assert (written["metrics"]["host"], written["metrics"]["port"]) == ("0.0.0.0", 9090)
    assert (written["term"], written["generation"]) == (4, 1)
    assert [pool["name"] for pool in written["pools"]] == ["search"]


def test_equal_input_gives_equal_bytes_and_no_new_generation(resource: Resource) -> None:
    first = through_the_cluster(next_snapshot(resource, ONE, 1, None))
    again = next_snapshot(resource, ONE, 1, first)
    assert again.text == first.text


def test_other_endpoints_are_a_new_generation_and_another_hash(resource: Resource) -> None:
    first = through_the_cluster(next_snapshot(resource, ONE, 1, None))
    second = next_snapshot(resource, TWO, 1, first)
    assert second.order == (1, 2)
    assert second.snapshot.hash != first.snapshot.hash


def test_a_new_leaders_term_begins_with_its_first_change(resource: Resource) -> None:
    first = through_the_cluster(next_snapshot(resource, ONE, 1, None))
    assert next_snapshot(resource, ONE, 2, first).text == first.text
    assert next_snapshot(resource, TWO, 2, first).order == (2, 2)


def test_a_snapshot_edited_by_hand_is_replaced_under_a_higher_generation(resource: Resource) -> None:
    first = next_snapshot(resource, ONE, 1, None)
    document = json.loads(first.text)
    del document["hash"]
    document["pools"][0]["endpoints"] = []
    edited = read_published(config_map(OWNER, Published(first.snapshot, json.dumps(document))))
    assert edited is not None
    repaired = next_snapshot(resource, ONE, 1, edited)
    assert repaired.order == (1, 2)
    assert repaired.snapshot.hash == first.snapshot.hash


@pytest.mark.parametrize("data", [{}, {"snapshot.json": "garbage"}, {"snapshot.json": "{}"}, {"other": "x"}])
def test_an_invalid_snapshot_counts_as_none(data: dict[str, Any]) -> None:
    assert read_published({"data": data}) is None
    assert read_published(None) is None


def test_an_absurdly_high_number_is_no_term(resource: Resource) -> None:
    text = next_snapshot(resource, ONE, 2**53, None).text
    assert read_published({"data": {"snapshot.json": text}}) is None


def test_endpoints_of_before_are_found_by_the_pools_name(resource: Resource) -> None:
    published = through_the_cluster(next_snapshot(resource, TWO, 1, None))
    assert published_endpoints(published, "search") == TWO
    assert published_endpoints(published, "docs") == ()
    assert published_endpoints(None, "search") == ()


def test_draining_endpoints_are_published_as_such_and_those_that_are_not_ready_are_not() -> None:
    states = {"a": State.READY, "b": State.DRAINING, "c": State.NOT_READY}
    specs = endpoint_specs([ResolvedEndpoint(f"http://{host}/mcp", state) for host, state in states.items()])
    assert [(spec.url, spec.draining) for spec in specs] == [("http://a/mcp", False), ("http://b/mcp", True)]


def test_where_no_endpoint_is_ready_the_known_ones_stay() -> None:
    def found(**states: State) -> list[ResolvedEndpoint]:
        return [ResolvedEndpoint(f"http://{host}/mcp", state) for host, state in states.items()]

    known = {"http://a/mcp", "http://b/mcp"}
    after = endpoint_specs(found(a=State.NOT_READY, d=State.NOT_READY), known)
    assert [spec.url for spec in after] == ["http://a/mcp"], "b is gone, d was never ready"
    assert [spec.url for spec in endpoint_specs(found(a=State.NOT_READY, d=State.READY), known)] == ["http://d/mcp"]
    assert endpoint_specs(found(), known) == ()


def test_a_snapshot_that_no_config_map_can_hold_is_refused(resource: Resource) -> None:
    many = tuple(
        EndpointSpec(url=f"http://10.{number >> 8}.{number & 255}.1:8000/{'x' * 150}") for number in range(5000)
    )
    with pytest.raises(SnapshotTooLargeError, match="5000 endpoints"):
        next_snapshot(resource, many, 1, None)
