"""KEDA scales managed servers by their calls in flight, as the example says (`make e2e-all`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from e2e import names
from e2e.clusters import ROOT, Cluster
from e2e.lines import Load, assert_nothing_is_lost
from e2e.monitoring import PROMETHEUS_URL, SMALL, install_keda
from e2e.pods import await_ready, ready
from e2e.waiting import PATIENCE, until

pytestmark = pytest.mark.thorough

EXAMPLE = ROOT / "examples" / "kubernetes" / "scaling" / "keda.yaml"
POOL = "crawler"
SERVER_LABEL = f"app.kubernetes.io/instance={POOL},app.kubernetes.io/component=server"
URL = f"http://{POOL}-mcp-gateway:{names.GATEWAY_PORT}/mcp"
MOST = 3
CALLS_IN_FLIGHT = 24  # the example's threshold is 10 for each server
SECONDS_OF_A_CALL = 2


def example() -> list[dict[str, Any]]:
    """The example for these nodes: its server is a testkit whose calls take long, and it scales down sooner."""
    pool, scaled = yaml.safe_load_all(EXAMPLE.read_text())
    managed, spec = pool["spec"]["source"]["managed"], scaled["spec"]
    managed |= {"image": names.TESTKIT, "resources": SMALL, "args": ["serve", "--latency", str(SECONDS_OF_A_CALL)]}
    pool["spec"]["timeouts"] = {"drain": "10s"}
    pool["spec"]["gateway"] |= {"replicas": 1, "resources": SMALL}
    pool["spec"]["gateway"]["serviceMonitor"]["interval"] = "5s"
    spec |= {"minReplicaCount": 1, "maxReplicaCount": MOST, "pollingInterval": 5}
    spec["advanced"] = {
        "horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 10}}}
    }
    spec["triggers"][0]["metadata"]["serverAddress"] = PROMETHEUS_URL
    return [pool, scaled]


@pytest.fixture
def scaled(prometheus: Cluster) -> Iterator[Cluster]:
    """A pool whose servers KEDA scales, one at first; gone afterwards."""
    install_keda(prometheus)
    objects = yaml.safe_dump_all(example())
    prometheus.kubectl("apply", "-f", "-", text=objects)
    try:
        prometheus.kubectl("wait", "--for=condition=Ready", f"mcppool/{POOL}", f"--timeout={PATIENCE:g}s")
        prometheus.kubectl("wait", "--for=condition=Ready", f"scaledobject/{POOL}", f"--timeout={PATIENCE:g}s")
        await_ready(prometheus, SERVER_LABEL, 1)
        yield prometheus
    finally:
        prometheus.kubectl("delete", "-f", "-", text=objects)


def test_servers_are_more_with_calls_in_flight_and_fewer_without(scaled: Cluster) -> None:
    rate = CALLS_IN_FLIGHT / SECONDS_OF_A_CALL
    with Load(scaled, names.CLIENT, URL, rate=rate, workers=CALLS_IN_FLIGHT) as load:
        until("the servers are more", lambda: len(ready(scaled, SERVER_LABEL)) == MOST, interval=1)
        load.reach(50)
        report = load.stop()
    with Load(scaled, names.CLIENT, URL, rate=1, workers=2) as quiet:
        until("the servers are fewer", lambda: len(ready(scaled, SERVER_LABEL)) == 1, interval=1)
        quiet.reach(10)
        after = quiet.stop()
    print(json.dumps({"load": report, "after": after}))
    assert_nothing_is_lost(report)
    assert_nothing_is_lost(after)
    spec = scaled.get("mcppool", POOL)["spec"]["source"]["managed"]
    assert "replicas" not in spec, "nobody but KEDA sets the number"
