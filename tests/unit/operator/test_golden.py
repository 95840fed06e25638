"""Golden files of snapshots and statuses, one per feature. UPDATE_GOLDEN=1 writes them anew; read the difference."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcppool.spec import EndpointSpec
from mcppool.spec.resource import read_resource
from mcppool_operator.children.config import next_snapshot
from mcppool_operator.condition import Condition
from mcppool_operator.observed import Observed, Sync
from mcppool_operator.resolve import Resolution, ResolvedEndpoint, SourceProblem, State
from mcppool_operator.rotation import UNCHANGED, KeyState, SealingKey
from mcppool_operator.status import summarize

GOLDEN = Path(__file__).parent / "golden"
ENDPOINTS = (EndpointSpec(url="http://10.0.0.1:8000/mcp"), EndpointSpec(url="http://10.0.0.2:8000/mcp", draining=True))
ROTATING = KeyState((SealingKey(1, "k1"), SealingKey(0, until=9.0)), SealingKey(2, "k2", 5.0))
READY = ResolvedEndpoint("http://10.0.0.1:8000/mcp", State.READY, target="search-1")
WAITING = ResolvedEndpoint("http://10.0.0.2:8000/mcp", State.NOT_READY, target="search-2")
DEPLOYMENT = {
    "metadata": {"generation": 1},
    "spec": {"replicas": 2},
    "status": {"observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2},
}
STARTING = {**DEPLOYMENT, "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2}}
ROLLING = {**DEPLOYMENT, "status": {**DEPLOYMENT["status"], "replicas": 3, "updatedReplicas": 1}}
SITUATIONS: dict[str, dict[str, Any]] = {
    "all is well": {},
    "the specification is invalid": {"invalid": "spec.timeouts.request: is not a duration"},
    "it is suspended": {"suspended": True},
    "its Service is missing": {"resolution": Resolution(problem=SourceProblem("ServiceNotFound", "no Service search"))},
    "a server is not ready": {"resolution": Resolution((READY, WAITING))},
    "no server is ready": {
        "resolution": Resolution((WAITING,)),
        "sync": Sync(ready=2, synced=2, servers_waiting=("search-2: ImagePullBackOff (no such image)",)),
    },
    "no server answers": {"sync": Sync(ready=2, synced=2, nobody_answers="none of 1 endpoints can be reached")},
    "an object is in the way": {
        "failure": Condition("Programmed", "False", "NameConflict", "Service x does not belong to this pool")
    },
    "a gateway refuses the snapshot": {"sync": Sync(ready=2, synced=1, rejected=("search-mcp-gateway-1",))},
    "a gateway does not answer": {"sync": Sync(ready=2, synced=1, silent=("search-mcp-gateway-1",))},
    "gateways do not start": {
        "sync": Sync(waiting=("search-mcp-gateway-1: ImagePullBackOff (no such image)",), stuck=True),
        "deployment": STARTING,
    },
    "gateways are rolled": {"deployment": ROLLING},
    "calls fail": {"sync": Sync(ready=2, synced=2, failing="a tenth of 200 calls failed")},
    "an optional kind is missing": {"extras": Condition("Degraded", "True", "KindNotServed", "no ServiceMonitor")},
    "another manager has added a container": {"drift": "Deployment x: containers has 2 entries and not 1"},
    "it scales": {"autoscaled": Condition("Autoscaled", "True", "AtMaximum", "2 of at most 2")},
    "its keys rotate": {"sealing_keys": {"id": "k1", "since": "2026-01-01T00:00:00Z", "next": "k2", "accepted": 3}},
}


def agrees(text: str, name: str) -> bool:
    """Whether a golden file has this text."""
    golden = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN") == "1":
        golden.write_text(text)
    return text == golden.read_text()


def snapshot(name: str, keys: KeyState = UNCHANGED) -> Any:
    resource = read_resource(yaml.safe_load((GOLDEN / f"{name}.in.yaml").read_text()))
    written = json.loads(next_snapshot(resource, ENDPOINTS, 1, None, keys).text)
    del written["hash"]
    return without_nothing(written)


def without_nothing(value: Any) -> Any:
    """A value without the members of objects that are null or empty."""
    if isinstance(value, list):
        return [without_nothing(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {key: without_nothing(member) for key, member in value.items() if member not in (None, [], {})}


def differences(one: Any, other: Any) -> Any:
    """The parts of `one` that differ from `other`: members of objects, and everything else as a whole."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one
    return {key: differences(value, other.get(key)) for key, value in one.items() if value != other.get(key)}


@pytest.mark.parametrize("name", ["full", "autoscaled", "managed", "stdio", "ingress", "route", "policies"])
def test_the_snapshot_of_a_pool_differs_from_the_smallest_as_written_down(name: str) -> None:
    one, other = snapshot(name), snapshot("minimal")
    (pool,), (smallest,) = one.pop("pools"), other.pop("pools")
    found = differences(one, other) | {"pool": differences(pool, smallest)}
    assert agrees(yaml.safe_dump(found, sort_keys=False, width=120), f"{name}.snapshot.yaml")


def test_the_snapshot_of_the_smallest_pool_is_as_written_down() -> None:
    written = snapshot("minimal")
    (pool,) = written["pools"]
    chosen = {"listener": ("listen", "sealing_keys", "allowed_hosts"), "metrics": ("host", "port", "allowed_hosts")}
    found = {section: {key: written[section][key] for key in keys} for section, keys in chosen.items()}
    found |= {"logging": written["logging"], "pools": [{key: pool[key] for key in ("name", "endpoints")}]}
    assert agrees(yaml.safe_dump(found, sort_keys=False, width=120), "minimal.snapshot.yaml")


def test_the_snapshot_during_a_rotation_of_keys_is_as_written_down() -> None:
    found = differences(snapshot("minimal", ROTATING), snapshot("minimal"))
    assert agrees(yaml.safe_dump(found, sort_keys=False, width=120), "rotation.snapshot.yaml")


def test_the_status_of_each_situation_is_as_written_down() -> None:
    good = Observed(
        generation=3,
        operator="mcppool-system/mcppool",
        resolution=Resolution((READY,)),
        published={"configMapName": "search-mcp-config", "hash": "sha256:1", "generation": 1, "term": 1},
        published_endpoints=1,
        sync=Sync(ready=2, synced=2),
        deployment=DEPLOYMENT,
        url="http://search-mcp-gateway.team-a.svc:8080/mcp",
        selector="a=b",
    )
    usual = summarize(good, "2026-01-01T00:00:00Z")
    shown = {}
    for situation, changes in SITUATIONS.items():
        status = summarize(good.but(**changes), "2026-01-01T00:00:00Z")
        rest = status if not changes else differences(status, usual)
        rest["conditions"] = [f"{c['type']}={c['status']} {c['reason']}: {c['message']}" for c in status["conditions"]]
        shown[situation] = rest
    assert agrees(yaml.safe_dump(shown, sort_keys=False, width=200), "status.yaml")
