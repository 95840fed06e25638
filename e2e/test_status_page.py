"""The status page of any gateway of a pool shows all of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e import names
from e2e.clusters import Cluster
from e2e.lines import Load
from e2e.pods import GATEWAYS, await_ready
from e2e.waiting import until

pytestmark = pytest.mark.thorough

URL = "http://127.0.0.1:9090/status.json?gateways=all"
ASK = f"import urllib.request; print(urllib.request.urlopen('{URL}', timeout=20).read().decode())"


def page_of(pool: Cluster, gateway: str) -> dict[str, Any]:
    """The page as a gateway's own pod shows it."""
    found: dict[str, Any] = json.loads(pool.kubectl("exec", gateway, "--", "python3", "-c", ASK))
    return found


def test_the_page_of_each_gateway_counts_the_calls_of_all_and_follows_their_number(pool: Cluster) -> None:
    pods = sorted(await_ready(pool, names.GATEWAY_LABEL, GATEWAYS))

    def all_answer(count: int) -> bool:
        pages = [page_of(pool, pod) for pod in sorted(await_ready(pool, names.GATEWAY_LABEL, count))]
        lines = [[line["answers"] for line in page.get("gateways", ())] for page in pages]
        return lines == [[True] * count] * count

    until("each gateway's page shows both", lambda: all_answer(GATEWAYS), interval=1)
    before = {pod: _calls(page_of(pool, pod)) for pod in pods}
    with Load(pool, names.CLIENT, names.URL) as load:
        load.reach(100)
        report = load.stop()
    for pod, count in before.items():

        def counted(pod: str = pod, least: int = count + report["calls"]) -> bool:
            return _calls(page_of(pool, pod)) >= least

        until(f"the page of {pod} counts the calls of both", counted, interval=1)
    pool.kubectl("scale", f"mcppool/{names.POOL}", f"--replicas={GATEWAYS + 1}")
    until("the pages show the third", lambda: all_answer(GATEWAYS + 1), interval=1)


def _calls(page: dict[str, Any]) -> int:
    (pool,) = page["pools"]
    return sum(pool["outcomes"].values())
