"""The documented metric families equal the existing ones."""

from __future__ import annotations

from dataclasses import fields

from mcppool.cli.families import families_table
from mcppool.observe.counter_families import GATEWAY_COUNTERS, POOL_COUNTERS
from mcppool.observe.metrics import GatewayMetrics, PoolMetrics
from mcppool.observe.views import ENDPOINT_COUNTERS, ENDPOINT_GAUGES, POOL_GAUGES, EndpointView, PoolView
from tests.attributes import attributes_of
from tests.requirements import ROOT


def test_the_table_of_families_is_that_of_the_collector() -> None:
    assert families_table() in (ROOT / "docs/reference/observability.md").read_text(), "make generate writes the table"


def test_families_of_attributes_name_attributes_that_there_are() -> None:
    for families, names in (
        (POOL_COUNTERS, attributes_of(PoolMetrics)),
        (GATEWAY_COUNTERS, attributes_of(GatewayMetrics)),
        (POOL_GAUGES, {field.name for field in fields(PoolView)}),
        ([*ENDPOINT_GAUGES, *ENDPOINT_COUNTERS], {field.name for field in fields(EndpointView)}),
    ):
        assert {family.attribute for family in families} <= names
