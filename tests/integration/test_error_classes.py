"""The founding document's classes of errors, as metrics and log name them."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import GatewayFactory
from tests.integration.raw_http import ask, tool_call
from tests.servers import pool_toml
from tests.servers.faults import Behaviour, FaultServer, not_json, reset_after, silent, status, wrong_id

SECTIONS = """
[pools.timeouts]
request = "30s"
first_byte = "{first_byte}"
[pools.retry_policy]
max_attempts = 2
[pools.outlier_detection]
consecutive_failures = 1000
"""

CLASSES: dict[str, tuple[Behaviour, str]] = {
    "reset": (reset_after, "network"),
    "silent": (silent, "timeout"),
    "500": (status("500 Internal Server Error"), "retryable"),
    "garbage": (not_json, "retryable"),
    "wrong id": (wrong_id, "retryable"),
    "503": (status("503 Service Unavailable"), "throttled"),
    "429": (status("429 Too Many Requests"), "throttled"),
}


@pytest.mark.parametrize("what", CLASSES)
async def test_the_class_of_a_failure_is_in_the_counter_of_repetitions_and_in_the_log(
    what: str, gateway: GatewayFactory
) -> None:
    behaviour, name = CLASSES[what]
    sections = SECTIONS.format(first_byte="300ms" if behaviour is silent else "30s")
    async with FaultServer(behaviour) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        assert (await ask(front, tool_call("read"))).status >= 429
        assert len(server.calls("read")) == 2
        assert front.metric(f'mcppool_retries_total{{pool="demo",class="{name}"}}') == 1
        assert f"error_class={name} " in front.log


async def test_a_call_without_an_endpoint_is_not_repeated(gateway: GatewayFactory) -> None:
    async with FaultServer() as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        await server.refuse()
        async with asyncio.timeout(60):
            while "error_class=non_retryable " not in front.log:
                await ask(front, tool_call("read"))
                await asyncio.sleep(0.01)
        assert front.metric('mcppool_retries_total{pool="demo",class="non_retryable"}') == 0
