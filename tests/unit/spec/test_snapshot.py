"""Snapshots: canonical when written, lenient when read."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcppool.spec import (
    ConfigError,
    EndpointSpec,
    PoolSpec,
    Snapshot,
    default_snapshot,
    loads_toml,
    read_snapshot,
    render_snapshot,
)
from mcppool.spec.advice import advice
from mcppool.spec.explain import pool_values, process_values
from mcppool.spec.naming import TOML
from mcppool.spec.pool import PoolPolicy
from mcppool.spec.reading import Reader
from mcppool.spec.sections.process import ListenerSpec, LoggingSpec
from tests.unit.spec.written import sections

POLICY = sections(PoolPolicy, TOML)
SMALL = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=60, deadline=None
)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    pools = []
    for index in range(draw(st.integers(0, 2))):
        endpoint = {
            "url": f"http://10.0.0.{index}:8000/mcp",
            "draining": draw(st.booleans()),
            "zone": draw(st.sampled_from([None, "a"])),
        }
        pools.append({"name": f"p{index}", "endpoints": [endpoint] * draw(st.integers(0, 1)), **draw(POLICY)})
    data = {
        "term": draw(st.integers(0, 1 << 40)),
        "generation": draw(st.integers(0, 1 << 40)),
        "pools": pools,
        "listener": draw(sections(ListenerSpec, TOML)),
        "logging": draw(sections(LoggingSpec, TOML)),
    }
    reader = Reader(Snapshot, TOML, lenient=True)
    snapshot = reader.read(data)
    assert snapshot is not None, reader.findings
    return snapshot


@SMALL
@given(snapshots())
def test_a_snapshot_is_read_as_it_was_rendered(snapshot: Snapshot) -> None:
    rendered = render_snapshot(snapshot)
    read = read_snapshot(rendered)
    assert read == snapshot
    assert read.hash == snapshot.hash == json.loads(rendered)["hash"]
    assert render_snapshot(read) == rendered


def add_unknown(data: Any, key: str, count: list[int]) -> Any:
    """Put an unknown key into every object of a document, except objects whose keys are names."""
    if isinstance(data, dict):
        named = ("tools", "env", "send", "access", "resource_attributes")
        if "url" in data or "sample_ratio" in data:  # of an endpoint or a collector
            named += ("headers",)
        grown = {name: value if name in named else add_unknown(value, key, count) for name, value in data.items()}
        count[0] += 1
        return grown | {key: {"new": [1]}}
    return [add_unknown(item, key, count) for item in data] if isinstance(data, list) else data


@SMALL
@given(snapshots())
def test_unknown_fields_are_ignored_at_any_depth_and_counted(snapshot: Snapshot) -> None:
    document = json.loads(render_snapshot(snapshot))
    del document["hash"]
    count = [0]
    read = read_snapshot(json.dumps(add_unknown(document, "from_the_future", count)))
    assert read.unknown_fields == count[0]
    assert read.pools == snapshot.pools
    assert read.listener == snapshot.listener


@pytest.mark.parametrize("place", ["access", "rule"])
def test_a_snapshot_with_an_unknown_condition_of_an_access_rule_is_refused(place: str) -> None:
    document = json.loads(render_snapshot(default_snapshot(["http://a/mcp"])))
    del document["hash"]
    access = document["pools"][0]["access"]
    access["allow"] = [{"name": "a", "tools": ["*"]}]
    (access if place == "access" else access["allow"][0])["only_on_mondays"] = True
    with pytest.raises(ConfigError, match="only_on_mondays"):
        read_snapshot(json.dumps(document))


def test_a_snapshot_with_unknown_fields_keeps_the_hash_it_was_published_under() -> None:
    document = json.loads(render_snapshot(default_snapshot(["http://a/mcp"])))
    document["pools"][0]["telepathy"] = True
    del document["hash"]
    own = read_snapshot(json.dumps(document)).hash
    content = {key: document[key] for key in document if key not in ("apiVersion", "term", "generation")}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    document["hash"] = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    published = read_snapshot(json.dumps(document))
    assert published.hash == document["hash"] != own
    assert json.loads(render_snapshot(published))["hash"] == document["hash"]


def test_term_and_generation_do_not_change_the_hash_and_everything_else_does() -> None:
    pool = PoolSpec(name="a", endpoints=(EndpointSpec(url="http://a/mcp"),))
    snapshot = Snapshot(pools=(pool,))
    assert Snapshot(pools=(pool,), term=3, generation=4).hash == snapshot.hash
    draining = PoolSpec(name="a", endpoints=(EndpointSpec(url="http://a/mcp", draining=True),))
    assert Snapshot(pools=(draining,)).hash != snapshot.hash


def test_the_document_has_the_form_that_gateways_of_every_version_know() -> None:
    pool = PoolSpec(name="a", endpoints=(EndpointSpec(url="http://a/mcp", zone="z"),))
    document = json.loads(render_snapshot(Snapshot(pools=(pool,), term=2, generation=7)))
    assert document["apiVersion"] == "mcppool.dev/snapshot/v1"
    assert (document["term"], document["generation"]) == (2, 7)
    assert document["hash"].startswith("sha256:")
    (written,) = document["pools"]
    assert written["endpoints"] == [
        {
            "url": "http://a/mcp",
            "host": None,
            "weight": 100,
            "zone": "z",
            "priority": 0,
            "draining": False,
            "headers": {},
        }
    ]
    assert written["connection_pool"]["max_idle_time"] == "10m"
    assert document["listener"]["max_body"] == "64MiB"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"{}", "apiVersion: is not the version of a snapshot; allowed: mcppool.dev/snapshot/v1"),
        (b'{"apiVersion": "mcppool.dev/snapshot/v2"}', "mcppool.dev/snapshot/v2 is newer than this gateway"),
        (b'{"apiVersion": "mcppool.dev/snapshot/v1", "hash": "sha256:00"}', "the document is damaged"),
        (b'{"apiVersion": "mcppool.dev/snapshot/v1", "pools": [{"endpoints": []}]}', r"pools\[0\]\.name: is missing"),
        (
            b'{"apiVersion": "mcppool.dev/snapshot/v1", "pools": [{"name": "a"}, {"name": "a"}]}',
            'two pools are named "a"',
        ),
        (b'{"apiVersion": "mcppool.dev/snapshot/v1", "term": -1}', "term: -1 is not allowed"),
    ],
)
def test_an_invalid_snapshot_is_refused(document: bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_snapshot(document, "snapshot.json")


def test_a_snapshot_may_hold_keys_that_a_file_may_not_yet() -> None:
    document = {
        "apiVersion": "mcppool.dev/snapshot/v1",
        "pools": [{"name": "a", "circuit_breaker": {"failure_threshold": 2}}],
    }
    assert read_snapshot(json.dumps(document)).pools[0].circuit_breaker.failure_threshold == 2


def test_a_file_and_its_rendering_are_the_same_snapshot() -> None:
    snapshot = loads_toml('profile = "test"\n[[pools]]\nname = "a"\nendpoints = ["http://a/mcp"]')
    assert read_snapshot(render_snapshot(snapshot).encode()) == snapshot


def test_the_origins_of_a_published_snapshot_are_unknown() -> None:
    written = loads_toml('[[pools]]\nname = "a"\nendpoints = ["http://a/mcp"]\ncache = {type = "none", ttl = "1m"}\n')
    assert written.provenance is not None
    published = read_snapshot(render_snapshot(written))
    assert published.provenance is None
    assert published.model_copy().provenance is None
    values = [*process_values(published), *pool_values(published, 0)]
    assert {value.origin for value in values} == {"published by the operator"}
    assert advice(published) == ()


@pytest.mark.parametrize("depth", [100, 500, 900, 950, 980, 990, 1000, 3000, 100_000])
@pytest.mark.parametrize(
    "place",
    [
        "%s",
        '{"apiVersion": "mcppool.dev/snapshot/v1", "pools": %s}',
        '{"apiVersion": "mcppool.dev/snapshot/v1", "x": %s}',
    ],
)
def test_a_snapshot_of_any_depth_is_read_or_refused(depth: int, place: str) -> None:
    """Any other exception than ConfigError ends the watch of the snapshots."""
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        with contextlib.suppress(ConfigError):  # an unknown member is left out
            read_snapshot(place % (opening * depth + "1" + closing * depth))
        with pytest.raises(ConfigError):
            read_snapshot(place % (opening * depth))
