"""The cluster scales the gateways by their CPU, up and down again (`make e2e-all`)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from e2e import names
from e2e.clusters import Cluster, CommandFailedError
from e2e.lines import Load, assert_nothing_is_lost
from e2e.pods import GATEWAYS, await_ready, ready
from e2e.waiting import until
from tests.requirements import missing

pytestmark = pytest.mark.thorough

MOST = 3


@pytest.fixture
def autoscaled(pool: Cluster) -> Iterator[Cluster]:
    """The page's pool with gateways that the cluster scales, one at first; scaled by hand again afterwards."""
    try:
        pool.install_metrics_server()
    except CommandFailedError as error:
        missing(f"metrics-server ({error})", "install it into the cluster")
    autoscaling = {"minReplicas": 1, "maxReplicas": MOST, "targetCPUPercent": 50, "scaleDownStabilization": "10s"}
    requests = {"requests": {"cpu": "24m"}}
    pool.patch_pool({"gateway": {"replicas": None, "autoscaling": autoscaling, "resources": requests}})
    await_ready(pool, names.GATEWAY_LABEL, 1)
    yield pool
    pool.patch_pool({"gateway": {"replicas": GATEWAYS, "autoscaling": None, "resources": None}})


def test_gateways_are_more_under_load_and_fewer_after_it(autoscaled: Cluster) -> None:
    with Load(autoscaled, names.CLIENT, names.URL, rate=200) as load:
        until("the gateways are more", lambda: len(ready(autoscaled, names.GATEWAY_LABEL)) == MOST, interval=1)
        load.reach(200)
        report = load.stop()
    with Load(autoscaled, names.CLIENT, names.URL, rate=2) as quiet:
        until("the gateways are fewer", lambda: len(ready(autoscaled, names.GATEWAY_LABEL)) == 1, interval=1)
        quiet.reach(10)
        after = quiet.stop()
    print(json.dumps({"load": report, "after": after}))
    assert_nothing_is_lost(report)
    assert_nothing_is_lost(after)
