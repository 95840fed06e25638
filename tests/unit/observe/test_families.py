"""The metric families that the documentation names are those that there are."""

from __future__ import annotations

from prometheus_client.core import Metric

from mcppool.observe.collector import GatewayCollector
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.views import ConfigView
from tests.requirements import ROOT

BEGIN, END = "| family | kind | labels | what |\n|---|---|---|---|\n", "\n\n"


def line(family: Metric) -> str:
    """The line of the table."""
    name = family.name + ("_total" if family.type == "counter" else "")
    labels = ", ".join(f"`{label}`" for label in family._labelnames)  # type: ignore[attr-defined]  # nothing else tells
    return f"| `{name}` | {family.type} | {labels or '–'} | {family.documentation} |"


def test_the_table_of_families_is_that_of_the_collector() -> None:
    collector = GatewayCollector(GatewayMetrics(), list, ConfigView)
    expected = "\n".join(line(family) for family in collector.collect())
    page = (ROOT / "docs/observability.md").read_text()
    found = page.split(BEGIN)[1].split(END)[0]
    assert found == expected, f"docs/observability.md should have:\n{expected}"
