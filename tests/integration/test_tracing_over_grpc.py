"""Traces and durations of a pool over gRPC."""

from __future__ import annotations

import pytest

pytest.importorskip("grpc", reason="needs the extra `otel-grpc`: make install")

from tests.integration.cached import HintServer, caching_pool
from tests.servers.grpc_collector import GrpcCollector
from tests.waiting import until


async def test_a_pool_sends_spans_and_durations_over_grpc() -> None:
    with GrpcCollector() as collector:
        sections = f"""
[pools.tracing]
enabled = true
protocol = "grpc"
endpoint = "{collector.url}"
metrics_interval = "1s"
"""
        async with HintServer() as server, caching_pool(server, cache='type = "none"', sections=sections) as client:
            await client.tool("read", {"a": 1})
            await until(lambda: len(collector.spans) >= 2, "both spans are sent")
            await until(lambda: len(collector.metrics) >= 2, "the durations are sent")
    assert [(span.name, span.kind) for span in collector.spans] == [("tools/call read", 3), ("tools/call read", 2)]
    names = {metric.name for metric in collector.metrics}
    assert names == {"mcp.server.operation.duration", "mcp.client.operation.duration"}
