"""Checks that the machine has the files, extras and zone of a configuration. `serve` and `check` share them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from mcppool.access.files import unusable_files
from mcppool.access.resources import resources_of
from mcppool.discovery.zone import ZONE_VARIABLE, own_zone
from mcppool.gateway.http.tls import Certificate
from mcppool.gateway.sealing_keys import read_keys
from mcppool.observe.audit_sinks import unwritable
from mcppool.observe.bearer_token import read_token
from mcppool.pipeline.pool.requirements import server_tls, unmet_needs, unusable
from mcppool.spec import ConfigError, PoolSpec, Problem, Snapshot
from mcppool.spec.address import is_internal, is_loopback
from mcppool.spec.layers import Layers


def preflight(snapshot: Snapshot) -> list[Problem]:
    """A problem for each thing that a configuration needs and this machine lacks.

    Of a snapshot from the operator only the TLS files are checked: a refusal would keep an older snapshot in force,
    which is no better.
    """
    local = snapshot.provenance is not None
    problems: list[Problem] = []
    for pool in snapshot.pools:
        unmet = unmet_needs(pool) if local else server_tls(pool)
        problems += [replace(problem, path=f"pools.{pool.name}.{problem.path}") for problem in unmet]
    if local:
        problems += [
            *_listener(snapshot),
            *_admin(snapshot),
            *_zones(snapshot),
            *_inbound(snapshot),
            *_audit(snapshot),
        ]
    return [_located(problem, snapshot) for problem in problems]


def _listener(snapshot: Snapshot) -> Iterator[Problem]:
    tls, keys = snapshot.listener.tls, snapshot.listener.sealing_keys
    if tls is not None:
        yield from _problems_of(lambda: Certificate(tls))
    if keys is not None:
        yield from _problems_of(lambda: read_keys(keys, "listener.sealing_keys"))
    for file in snapshot.listener.accepted_keys:
        if os.path.lexists(file):
            yield from _problems_of(partial(read_keys, file, "listener.accepted_keys"))


def _admin(snapshot: Snapshot) -> Iterator[Problem]:
    tls = snapshot.metrics.tls
    if tls is not None:
        yield from _problems_of(lambda: Certificate(tls, "metrics.tls"))
    yield from unusable("metrics.token_file", snapshot.metrics.token_file, read_token)


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


def _inbound(snapshot: Snapshot) -> Iterator[Problem]:
    """Pools that every client may use by an oversight, or that accept tokens for any audience."""
    provenance, listener = snapshot.provenance, snapshot.listener
    assert provenance is not None
    only = len(snapshot.pools) == 1
    for pool, layers in zip(snapshot.pools, provenance.pools, strict=True):
        inbound, path = pool.auth.inbound, f"pools.{pool.name}.auth.inbound"
        if inbound.type == "none" and not is_loopback(listener.host) and not _is_written(layers):
            yield Problem(
                f"{path}.type",
                f"must be set, because the gateway listens on {listener.listen}, which is not a loopback address: "
                "without authentication, everybody who reaches that address may call the pool's tools",
                None,
                'a way to authenticate (docs/how-to/auth.md), or auth.inbound = {type = "none"}',
            )
        for key, file, why in unusable_files(inbound):
            yield Problem(f"{path}.{key}", f"cannot be used: {why}", file)
        if inbound.type == "passthrough":
            yield from _passthrough(pool, path)
        if inbound.type == "mtls" and (listener.tls is None or listener.tls.client_ca_file is None):
            yield Problem(
                f"{path}.type",
                "is mtls, but the listener asks no client for a certificate",
                inbound.type,
                "listener.tls.client_ca_file",
            )
        if inbound.type in ("jwt", "introspection") and not resources_of(listener, pool, only=only):
            yield Problem(
                f"{path}.type",
                f"is {inbound.type}, but the URL under which clients reach the pool is not known",
                inbound.type,
                'listener.external_url = "https://mcp.example.com"',
            )


def _audit(snapshot: Snapshot) -> Iterator[Problem]:
    """Audit logs that cannot be written."""
    for pool in snapshot.pools:
        file = pool.audit.file
        if pool.audit.type == "file" and file is not None and (why := unwritable(file)) is not None:
            yield Problem(f"pools.{pool.name}.audit.file", f"cannot be written: {why}", file)


def _passthrough(pool: PoolSpec, path: str) -> Iterator[Problem]:
    """Pools whose clients' credentials would go in clear, meet other credentials, or reach no server."""
    for number, endpoint in enumerate(pool.endpoints):
        parts = urlsplit(endpoint.url)
        if parts.scheme == "http" and not is_internal(parts.hostname or ""):
            yield Problem(
                f"pools.{pool.name}.endpoints[{number}]",
                "would get the credentials of clients in clear (auth.inbound.type is passthrough)",
                endpoint.key,
                "an https URL, or a private address",
            )
    if any(name.lower() == "authorization" for name in pool.headers.send):
        yield Problem(
            f"pools.{pool.name}.headers.send",
            "sets Authorization, in which the servers get the client's own credentials",
            None,
            "another header, or another auth.inbound.type",
        )
    if pool.command:
        yield Problem(f"{path}.type", "has no effect on local servers, which see no headers", "passthrough")


def _is_written(layers: Layers) -> bool:
    """Whether the configuration says how the clients of a pool authenticate, in the pool or for all pools."""
    origin = layers.origins.get(("auth", "inbound", "type"))
    return origin is not None and origin.place is not None


def _problems_of(make: Callable[[], object]) -> tuple[Problem, ...]:
    try:
        make()
    except ConfigError as error:
        return error.problems
    return ()


def _place(path: str) -> tuple[str | int, ...]:
    """The place that `endpoints[1].headers.X-A` names."""
    parts = path.replace("[", ".[").split(".")
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in parts)


def _located(problem: Problem, snapshot: Snapshot) -> Problem:
    """The problem with the file and line of its key."""
    provenance = snapshot.provenance
    if provenance is None:
        return problem
    layers, place = provenance.process, _place(problem.path)
    if place[0] == "pools":
        index = next(i for i, pool in enumerate(snapshot.pools) if pool.name == place[1])
        layers, place = provenance.pools[index], place[2:]
    origin = layers.origin(place)
    if origin is None:
        return problem
    source = origin.text if origin.line is None else origin.text.removesuffix(f":{origin.line}")
    return Problem(problem.path, problem.message, problem.value, problem.allowed, origin.line, source)
