"""The samples of a family: attributes of objects, and histograms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.samples import Exemplar

from mcppool.observe.counter_families import Family
from mcppool.observe.histogram import Histogram


def attribute_families(
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    families: Iterable[Family],
    labels: list[str],
    things: Sequence[tuple[list[str], object]],
) -> Iterator[Metric]:
    """Families with a sample for each of `things`, which come with the values of their `labels`."""
    for attribute, name, text in families:
        family = kind(name, text, labels=labels)
        for values, thing in things:
            value = getattr(thing, attribute)
            if value is not None:
                family.add_metric(values, value)
        yield family


def add_histogram(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    """Add a histogram to a family, with its exemplars."""
    buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
    cumulative = 0
    exemplars = histogram.exemplars or {}
    for index, (bound, count) in enumerate(zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True)):
        cumulative += count
        found = exemplars.get(index)
        if found is None:
            buckets.append((bound, cumulative))
            continue
        ids = {"trace_id": found.trace_id, "span_id": found.span_id}
        buckets.append((bound, cumulative, Exemplar(ids, found.value, round(found.at, 3))))
    family.add_metric(labels, buckets, histogram.total)
