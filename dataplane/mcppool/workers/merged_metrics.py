"""The metrics of several processes as those of one gateway.

Counters and histograms are summed; so are gauges that count something. A gauge that tells a state has the value of the
process that is worst off. One whose sum and extremes say nothing has a series for each process, with the label
`worker`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client.core import Metric
from prometheus_client.samples import Exemplar, Sample

SUMMED: Final = frozenset(
    {
        "mcp_connection_pool_size",
        "mcp_cache_size_items",
        "mcp_cache_memory_usage_bytes",
        "mcppool_pool_waiting_requests",
        "mcppool_pool_sessions",
        "mcppool_endpoint_active_requests",
        "mcppool_endpoint_concurrency_limit",
        "mcppool_endpoint_connections",
        "mcppool_listener_connections",
        "mcppool_memory_limit_bytes",
        "mcppool_memory_resident_bytes",
        "mcppool_memory_charged_bytes",
        "process_virtual_memory_bytes",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
    }
)
LOWEST: Final = frozenset(
    {
        "mcppool_cache_up",
        "mcppool_redis_up",
        "mcppool_endpoint_available",
        "mcppool_config_generation",
        "process_start_time_seconds",
    }
)
HIGHEST: Final = frozenset(
    {
        "mcp_circuit_breaker_state",
        "mcppool_pool_catalog_tools",
        "mcppool_endpoint_draining",
        "mcppool_endpoint_weight",
        "mcppool_config_info",
        "mcppool_config_loaded_timestamp_seconds",
        "mcppool_build_info",
    }
)

PLACES: Final = {"pool": "pool", "server_id": "pool", "endpoint": "endpoint"}
"""Labels that name a pool or an endpoint."""

Labels = tuple[tuple[str, str], ...]
SentExemplar = tuple[dict[str, str], float, float]
"""Labels, value, and wall-clock time in seconds."""
Sent = tuple[str, str, str, list[tuple[str, dict[str, str], float, SentExemplar | None]]]
"""A family as a process sends it: name, description, type, and samples with their labels and exemplars."""


@dataclass(slots=True)
class MergedFamily:
    """One family of all processes; the samples are by name and labels. Of the exemplars the latest ones are kept."""

    name: str
    text: str
    type: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)
    exemplars: dict[tuple[str, Labels], SentExemplar] = field(default_factory=dict)


def sent(family: Metric) -> Sent:
    """A family in the form in which processes exchange it."""
    return (
        family.name,
        family.documentation,
        family.type,
        [(sample.name, dict(sample.labels), sample.value, _sent_exemplar(sample)) for sample in family.samples],
    )


def merged(of_workers: Iterable[tuple[int, Iterable[Sent]]], ended: Iterable[MergedFamily] = ()) -> list[MergedFamily]:
    """The families of all processes, each with the number of its place; `ended` has the counts of processes that have
    ended."""
    found = {family.name: MergedFamily(family.name, family.text, family.type, dict(family.samples)) for family in ended}
    for worker, families in of_workers:
        for name, text, kind, samples in families:
            family = found.setdefault(name, MergedFamily(name, text, kind))
            for sample, labels, value, exemplar in samples:
                _add(family, sample, labels, value, worker)
                if exemplar is not None:
                    _keep_latest(family, (sample, tuple(labels.items())), exemplar)
    return list(found.values())


def counts(families: Iterable[Sent], ended: Iterable[MergedFamily] = ()) -> list[MergedFamily]:
    """The counters and histograms among these families, added to those of processes that have ended before."""
    only: list[Sent] = [family for family in families if family[2] != "gauge"]
    return merged([(0, only)], ended)


def still_there(ended: Iterable[MergedFamily], live: Iterable[Iterable[Sent]]) -> list[MergedFamily]:
    """The counts of processes that have ended, without those of pools and endpoints that no live process has: as in one
    process, the series of an endpoint go with it, or there would be more and more of them."""
    known = {
        place for families in live for _, _, _, samples in families for _, labels, _, _ in samples
        for place in _places(labels.items())
    }  # fmt: skip
    found = []
    for family in ended:
        kept = {key: value for key, value in family.samples.items() if known.issuperset(_places(key[1]))}
        exemplars = {key: value for key, value in family.exemplars.items() if key in kept}
        found.append(MergedFamily(family.name, family.text, family.type, kept, exemplars))
    return found


def _places(labels: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pool and the endpoint that the labels name."""
    return [(PLACES[label], value) for label, value in labels if label in PLACES]


def as_metrics(families: Iterable[MergedFamily]) -> Iterator[Metric]:
    """The families for the writer of `/metrics`."""
    for family in families:
        metric = Metric(family.name, family.text, family.type)
        for (name, labels), value in family.samples.items():
            shown = family.exemplars.get((name, labels))
            metric.add_sample(name, dict(labels), value, None, Exemplar(*shown) if shown is not None else None)
        yield metric


def _sent_exemplar(sample: Sample) -> SentExemplar | None:
    found = sample.exemplar
    return None if found is None else (dict(found.labels), found.value, float(found.timestamp or 0.0))


def _keep_latest(family: MergedFamily, key: tuple[str, Labels], exemplar: SentExemplar) -> None:
    before = family.exemplars.get(key)
    if before is None or before[2] < exemplar[2]:
        family.exemplars[key] = exemplar


def _add(family: MergedFamily, name: str, labels: Mapping[str, Any], value: float, worker: int) -> None:
    apart = family.type == "gauge" and not any(family.name in rule for rule in (SUMMED, LOWEST, HIGHEST))
    if apart:
        labels = {**labels, "worker": str(worker)}
    key = name, tuple(labels.items())
    before = family.samples.get(key)
    if before is None or apart:
        family.samples[key] = value
    elif family.name in LOWEST:
        family.samples[key] = min(before, value)
    elif family.name in HIGHEST:
        family.samples[key] = max(before, value)
    else:
        family.samples[key] = before + value
