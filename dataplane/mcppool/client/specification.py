"""The specification of a pool from a program's arguments, with the keys and checks of a configuration file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mcppool.discovery.zone import ZONE_VARIABLE, own_zone
from mcppool.spec import ConfigError, PoolSpec, Problem, Snapshot, load_toml
from mcppool.spec.file_reader import read_data

SOURCE = "mcppool.Pool"


def read_arguments(
    endpoints: str | Sequence[str | Mapping[str, Any]],
    name: str,
    profile: str,
    sections: Mapping[str, object],
    sealing_keys: str | Path | None = None,
    zone: str | None = None,
) -> Snapshot:
    """A snapshot of one pool. Raises ConfigError with every mistake."""
    if isinstance(endpoints, str):
        endpoints = [endpoints]
    retry = sections.get("retry_policy")
    if isinstance(retry, str):
        sections = {**sections, "retry_policy": {"preset": retry}}
    pool = {"name": name, **_plain(sections)}
    if endpoints:
        pool["endpoints"] = _plain(endpoints)
    process: dict[str, Any] = {"listener": {"sealing_keys": str(sealing_keys)}} if sealing_keys is not None else {}
    if zone is not None:
        process["gateway"] = {"zone": zone}
    snapshot = read_data({"profile": profile, "pools": [pool], **process}, {}, SOURCE)
    if problems := [*_gateway_settings(snapshot.pools[0])]:
        raise ConfigError(problems)
    return _zoned(snapshot, SOURCE)


def read_config(path: str | Path, pool: str | None) -> Snapshot:
    """The snapshot of a file with only the pool of this name; without a name, with its only pool."""
    snapshot = load_toml(path)
    names = [spec.name for spec in snapshot.pools]
    chosen: list[PoolSpec] = [spec for spec in snapshot.pools if pool in (None, spec.name)]
    if len(chosen) != 1:
        message = "must be given, unless the file has exactly one pool" if pool is None else "is no pool of this file"
        raise ConfigError([Problem("pool", message, pool, ", ".join(names) or "no pool at all", source=str(path))])
    return _zoned(snapshot.model_copy(update={"pools": tuple(chosen)}), str(path))


def _gateway_settings(pool: PoolSpec) -> Iterator[Problem]:
    """Settings that need the headers of a client's request, which a program's calls lack."""
    why = "needs a gateway: the calls of a program have no client headers"
    if pool.headers.forward:
        yield Problem("headers.forward", why, list(pool.headers.forward), source=SOURCE)
    balancer = pool.load_balancer
    if balancer.strategy == "consistent_hash" and balancer.hash_key.startswith("header:"):
        yield Problem("load_balancer.hash_key", why, balancer.hash_key, "tool", source=SOURCE)


def _zoned(snapshot: Snapshot, source: str) -> Snapshot:
    """The same, if the zone that the pool needs is known. Raises ConfigError."""
    (pool,) = snapshot.pools
    preference = pool.load_balancer.zone_preference
    if preference != "none" and own_zone(snapshot) is None:
        allowed = f'zone="…", gateway.zone in a file, or the environment variable {ZONE_VARIABLE}'
        where = "load_balancer.zone_preference"
        raise ConfigError([Problem(where, "needs the zone of this program", preference, allowed, source=source)])
    return snapshot


def _plain(value: Any) -> Any:
    """Plain mappings and sequences, as in a parsed file."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(inner) for inner in value]
    return value
