"""Exemplars: a histogram's buckets name the trace of a value, for scrapers of OpenMetrics."""

from __future__ import annotations

import json
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from mcppool.observe.collector import registry
from mcppool.observe.exposition import pieces
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.tracing.durations import OperationKey, PoolDurations
from mcppool.observe.views import ConfigView
from mcppool.workers.merged_metrics import as_metrics, merged, sent

ONE, OTHER = ("1" * 32, "1" * 16), ("2" * 32, "2" * 16)


def families(trace: tuple[str, str], seconds: float) -> list[Metric]:
    metrics = GatewayMetrics()
    pool = metrics.pool("demo")
    pool.known_tools = ["echo"]
    stats = pool.tool("echo")
    for histogram, value in ((stats.duration, seconds), (stats.size, 500), (pool.connection_duration, seconds)):
        histogram.observe(value)
        histogram.exemplify(value, *trace)
    pool.durations = PoolDurations("demo")
    key = OperationKey("tools/call", "echo", "", "", "2026-07-28")
    pool.durations.server_operations.of(key).observe(seconds)
    return list(registry(metrics, list, lambda: ConfigView()).collect())


def read(found: list[Metric]) -> dict[str, list[Any]]:
    """The samples with exemplars, by family, as Prometheus reads them."""
    text = b"".join(pieces(found, openmetrics=True)).decode()
    return {
        family.name: [sample for sample in family.samples if sample.exemplar]
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    }


def test_the_histograms_of_the_founding_document_name_traces() -> None:
    found = read(families(ONE, 0.02))
    for name, value in (
        ("mcp_tool_execution_duration_seconds", 0.02),
        ("mcp_tool_response_size_bytes", 500.0),
        ("mcp_connection_duration_seconds", 0.02),
    ):
        (sample,) = found[name]
        assert sample.exemplar.labels == {"trace_id": ONE[0], "span_id": ONE[1]}
        assert sample.exemplar.value == value
        assert float(sample.exemplar.timestamp) > 0
        assert value <= float(sample.labels["le"])


def test_without_openmetrics_the_text_has_no_exemplars() -> None:
    assert ONE[0].encode() not in b"".join(pieces(families(ONE, 0.02)))


def test_of_several_workers_the_latest_exemplar_of_a_bucket_is_shown() -> None:
    older, newer = families(ONE, 0.02), families(OTHER, 0.021)
    for family in older:
        family.samples = [
            sample._replace(exemplar=sample.exemplar._replace(timestamp=1.0)) if sample.exemplar else sample
            for sample in family.samples
        ]
    over_the_channel = json.loads(json.dumps([[0, list(map(sent, newer))], [1, list(map(sent, older))]]))
    found = read(list(as_metrics(merged(over_the_channel))))
    (sample,) = found["mcp_tool_execution_duration_seconds"]
    assert sample.exemplar.labels["trace_id"] == OTHER[0]


def test_durations_by_the_conventions_are_on_the_page_too() -> None:
    text = b"".join(pieces(families(ONE, 0.02))).decode()
    line = next(each for each in text.splitlines() if each.startswith("mcp_server_operation_duration_seconds_count"))
    assert 'mcp_method_name="tools/call"' in line
    assert 'gen_ai_tool_name="echo"' in line
    assert line.endswith(" 1.0")
