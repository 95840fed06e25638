"""From the chart to the first call."""

from __future__ import annotations

import json

from e2e import names
from e2e.clusters import Cluster
from e2e.page import FirstCall
from e2e.pods import GATEWAYS, await_ready

SECONDS_TO_FIRST_CALL = 15


def test_the_first_call_is_answered_within_15_s_of_applying_the_pool(first_call: FirstCall) -> None:
    answer = json.loads(first_call.printed)
    assert answer["text"] == "42"
    assert answer["protocol"] == "2026-07-28", "the SDK client took us for a handshake-era server"
    print(f"{first_call.seconds:.1f} s from applying the pool to the answer")
    assert first_call.seconds < SECONDS_TO_FIRST_CALL


def test_the_pool_says_that_it_is_ready_and_where_it_is(pool: Cluster) -> None:
    status = pool.get("mcppool", names.POOL)["status"]
    conditions = {condition["type"]: condition["status"] for condition in status["conditions"]}
    assert conditions["Ready"] == "True"
    assert len(await_ready(pool, names.GATEWAY_LABEL, GATEWAYS)) == GATEWAYS
