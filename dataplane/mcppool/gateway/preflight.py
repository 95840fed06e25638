"""What a configuration needs of the machine: files, extras, a zone. `serve` and `check` look at the same things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from mcppool.discovery.zone import ZONE_VARIABLE, own_zone
from mcppool.gateway.sealing_keys import read_ring
from mcppool.gateway.tls import Certificate
from mcppool.observe.bearer_token import read_token
from mcppool.spec import ConfigError, PoolSpec, Problem, Snapshot
from mcppool.upstream.tls import UpstreamTls


def preflight(snapshot: Snapshot) -> list[Problem]:
    """Everything that a configuration asks for and this machine does not have.

    A snapshot that the operator published is held to its TLS files only: an older one would stay in force, which
    serves nobody better.
    """
    problems = [*_server_tls(snapshot)]
    if snapshot.provenance is not None:
        problems += [*_listener(snapshot), *_admin(snapshot), *_zones(snapshot)]
        for pool in snapshot.pools:
            problems += _redis(pool)
    return [_located(problem, snapshot) for problem in problems]


def _server_tls(snapshot: Snapshot) -> Iterator[Problem]:
    for pool in snapshot.pools:
        tls = pool.tls
        if tls.ca_file or tls.certificate_file:
            try:
                UpstreamTls(tls).context()
            except OSError as error:
                files = [file for file in (tls.ca_file, tls.certificate_file, tls.key_file) if file]
                yield Problem(f"pools.{pool.name}.tls", f"cannot be used: {error}", ", ".join(files))


def _listener(snapshot: Snapshot) -> Iterator[Problem]:
    tls, keys = snapshot.listener.tls, snapshot.listener.sealing_keys
    if tls is not None:
        yield from _problems_of(lambda: Certificate(tls.certificate_file, tls.key_file))
    if keys is not None:
        yield from _problems_of(lambda: read_ring(keys))


def _admin(snapshot: Snapshot) -> Iterator[Problem]:
    file = snapshot.metrics.token_file
    if file is not None:
        try:
            read_token(file)
        except (OSError, ValueError) as error:
            yield Problem("metrics.token_file", f"cannot be used: {error}", file)


def _zones(snapshot: Snapshot) -> Iterator[Problem]:
    if own_zone(snapshot) is not None:
        return
    for pool in snapshot.pools:
        if pool.load_balancer.zone_preference != "none":
            yield Problem(
                f"pools.{pool.name}.load_balancer.zone_preference",
                "needs to know the gateway's own zone",
                pool.load_balancer.zone_preference,
                f'gateway.zone = "…" in the file, or the environment variable {ZONE_VARIABLE}',
            )


def _redis(pool: PoolSpec) -> Iterator[Problem]:
    users = {
        "cache.type": pool.cache.type,
        "sessions.store": pool.sessions.store,
        "rate_limit.store": pool.rate_limit.store,
    }
    used = [key for key, store in users.items() if store == "redis"]
    if not used:
        return
    if find_spec("redis") is None:
        install = "pip install 'mcp-server-pool[redis]'"
        yield Problem(f"pools.{pool.name}.{used[0]}", f"needs the extra `redis`: {install}", "redis")
    if (file := pool.cache.redis_password_file) is not None:
        try:
            Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            yield Problem(f"pools.{pool.name}.cache.redis_password_file", f"cannot be read: {error}", file)


def _problems_of(make: Callable[[], object]) -> tuple[Problem, ...]:
    try:
        make()
    except ConfigError as error:
        return error.problems
    return ()


def _located(problem: Problem, snapshot: Snapshot) -> Problem:
    """The problem with the file and line where its key is written."""
    provenance = snapshot.provenance
    if provenance is None:
        return problem
    first, *rest = problem.path.split(".")
    layers, place = provenance.process, (first, *rest)
    if first == "pools":
        index = next(i for i, pool in enumerate(snapshot.pools) if pool.name == rest[0])
        layers, place = provenance.pools[index], tuple(rest[1:])
    origin = layers.origin(place)
    if origin is None:
        return problem
    source = origin.text if origin.line is None else origin.text.removesuffix(f":{origin.line}")
    return Problem(problem.path, problem.message, problem.value, problem.allowed, origin.line, source)
