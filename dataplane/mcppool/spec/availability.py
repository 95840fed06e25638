"""What this version does not do yet. The models describe all of it; who writes one of these is told so by name.

A line is a key (`"circuit_breaker"`, `"retry_policy.base_delay"`), one value of a key (`"cache.type=redis"`), or values
above a number (`"listener.workers>1"`). Keys of a pool and of the top level are the same; the names of tools and the
numbers of list items are left out. To make something available, delete its line, then run the generator.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from mcppool.spec.naming import Spelling
from mcppool.spec.problems import show
from mcppool.spec.reading import Finding, Place
from mcppool.spec.shape import Shape, fields_of

LATER: Final = frozenset(
    {
        "auth.inbound.type=jwt",
        "auth.inbound.jwt",
        "auth.inbound.type=api_key",
        "auth.inbound.api_key",
        "auth.outbound.type=token",
        "auth.outbound.token",
        "cache.type=memory",
        "cache.type=redis",
        "cache.max_size",
        "cache.max_bytes",
        "cache.ttl",
        "cache.honor_hints",
        "circuit_breaker",
        "command",
        "dns",
        "gateway.autoscaling",
        "gateway.network_policy",
        "limits",
        "listener.tls",
        "listener.workers>1",
        "load_balancer.hash_key",
        "load_balancer.slow_start",
        "load_balancer.strategy=consistent_hash",
        "load_balancer.strategy=health_based",
        "load_balancer.strategy=random",
        "load_balancer.strategy=response_time_based",
        "load_balancer.strategy=weighted_round_robin",
        "load_balancer.zone_preference=prefer_local",
        "outlier_detection",
        "rate_limit",
        "replicas",
        "retry_policy.base_delay",
        "retry_policy.budget_min_per_second",
        "retry_policy.budget_percent",
        "retry_policy.max_delay",
        "retry_policy.preset",
        "retry_policy.strategy",
        "sessions.on_loss",
        "sessions.stateless",
        "source.type=managed",
        "source.managed",
        "source.type=pods",
        "source.pods",
        "tls.certificate_file",
        "tls.key_file",
        "tools.cache_ttl",
        "tools.max_concurrent",
        "tools.retry_policy",
    }
)


def is_later(path: str) -> bool:
    """Whether a whole key such as `retry_policy.base_delay` is not available, by itself or with its section."""
    parts = path.split(".")
    return any(".".join(parts[:end]) in LATER for end in range(1, len(parts) + 1))


def limit(path: str) -> int | None:
    """The largest number that a key may have in this version, where a line says so."""
    return next((int(line.rpartition(">")[2]) for line in LATER if line.startswith(f"{path}>")), None)


def available(path: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    """Those values of an enumerated key that this version has."""
    return tuple(choice for choice in choices if f"{path}={choice}" not in LATER)


def withhold(shape: Shape, data: dict[str, Any], spelling: Spelling) -> list[Finding]:
    """Takes out of conformed data what this version does not do, and says so of each."""
    return list(_withhold(shape, data, (), "", spelling))


def _withhold(shape: Shape, data: Any, place: Place, path: str, spelling: Spelling) -> Iterator[Finding]:
    if shape.kind == "section" and isinstance(data, dict):
        assert shape.model is not None
        for name, field in fields_of(shape.model).items():
            if name not in data:
                continue
            inner = f"{path}.{name}" if path else name
            if finding := _finding(field.shape, data[name], (*place, name), inner, spelling):
                del data[name]
                yield finding
            else:
                # A pool's keys are named as at the top level.
                yield from _withhold(
                    field.shape, data[name], (*place, name), "" if inner == "pools" else inner, spelling
                )
    elif shape.item is not None and isinstance(data, dict):
        for key, value in data.items():
            yield from _withhold(shape.item, value, (*place, key), path, spelling)
    elif shape.item is not None and isinstance(data, tuple):
        for index, value in enumerate(data):
            yield from _withhold(shape.item, value, (*place, index), path, spelling)


def _finding(shape: Shape, value: Any, place: Place, path: str, spelling: Spelling) -> Finding | None:
    if path in LATER:
        return Finding(place, f'"{spelling.key(path.rpartition(".")[2])}" is not available in this version', value)
    if isinstance(value, str) and f"{path}={value}" in LATER:
        words = ", ".join(map(spelling.value, available(path, shape.choices)))
        return Finding(place, f'"{spelling.value(value)}" is not available in this version', value, words)
    highest = limit(path)
    if highest is not None and isinstance(value, int) and value > highest:
        return Finding(place, f"{show(value)} is not available in this version", value, f"up to {highest}")
    return None
