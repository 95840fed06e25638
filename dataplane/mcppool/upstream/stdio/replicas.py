"""The replicas of a local server, as endpoints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.spec.pool import DEFAULT_REPLICAS

HOST: Final = "stdio.invalid"
"""RFC 6761: no such host exists, so nothing is ever looked up or reached by mistake."""


def endpoints_of(spec: PoolSpec) -> tuple[EndpointSpec, ...]:
    """One endpoint for each replica."""
    return tuple(
        EndpointSpec(url=f"http://{spec.name}-{index}.{HOST}/mcp", host="localhost")
        for index in range(spec.replicas or DEFAULT_REPLICAS)
    )


def socket_files(spec: PoolSpec, directory: Path) -> Mapping[str, Path]:
    """The socket file of each replica in the directory of its pool, by the URL of its endpoint."""
    return {endpoint.url: directory / str(index) for index, endpoint in enumerate(endpoints_of(spec))}


def start_settings(spec: PoolSpec) -> tuple[object, ...]:
    """The settings at the start of the processes. Other settings may change while they run."""
    return (spec.command, spec.replicas, spec.env, spec.env_from, bool(spec.command) and spec.sessions.stateless)


def start_key(spec: PoolSpec) -> str:
    """A short text for a pool with these settings at the start: two pools with the same one can share processes."""
    settings = json.dumps([spec.name, *start_settings(spec)], sort_keys=True)
    return hashlib.sha256(settings.encode("utf-8", "surrogatepass")).hexdigest()[:16]
