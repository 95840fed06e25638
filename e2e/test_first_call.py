"""From the chart to the first call."""

from __future__ import annotations

import json
import sys
import textwrap

from e2e import names
from e2e.clusters import Cluster
from e2e.lines import Lines
from e2e.page import FirstCall, Page
from e2e.pods import GATEWAYS, await_ready
from e2e.waiting import until

SECONDS_TO_FIRST_CALL = 30
"""It takes three on a machine with nothing else to do."""


def test_the_first_call_is_answered_soon_after_the_pool_is_applied(first_call: FirstCall) -> None:
    answer = json.loads(first_call.printed)
    assert answer["text"] == "42"
    assert answer["protocol"] == "2026-07-28", "the SDK client took us for a handshake-era server"
    print(f"{first_call.seconds:.1f} s from applying the pool to the answer")
    assert first_call.seconds < SECONDS_TO_FIRST_CALL


def test_the_pool_reports_that_it_is_ready_and_its_address(pool: Cluster) -> None:
    status = pool.get("mcppool", names.POOL)["status"]
    conditions = {condition["type"]: condition["status"] for condition in status["conditions"]}
    assert conditions["Ready"] == "True"
    assert len(await_ready(pool, names.GATEWAY_LABEL, GATEWAYS)) == GATEWAYS


def test_a_client_outside_the_cluster_calls_through_a_port_forward(pool: Cluster, page: Page) -> None:
    (shown,) = page.python
    forward = pool.start("kubectl", "port-forward", f"service/{names.POOL}-mcp-gateway", f":{names.GATEWAY_PORT}")
    with Lines(forward) as lines:
        until("the forward is there", lambda: lines.seen() or not lines.running())
        port = lines.seen()[0][1].split(":")[1].split()[0]  # Forwarding from 127.0.0.1:PORT -> 8080
        program = (
            "import asyncio, mcp\n\nasync def main():\n" + textwrap.indent(shown, "    ") + "\nasyncio.run(main())"
        )
        printed = pool.run(sys.executable, "-c", program.replace(f":{names.GATEWAY_PORT}/", f":{port}/"))
    assert "42" in printed
