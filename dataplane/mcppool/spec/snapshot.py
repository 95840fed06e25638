"""The complete configuration of one gateway, as the operator publishes it and the gateway holds it.

A snapshot is written strictly and read leniently: unknown fields are ignored and counted, so that an older gateway
works with a newer operator. Only a newer major version of the format is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cached_property
from typing import Any, Final

from pydantic import Field, PrivateAttr, model_validator

from mcppool.spec.layers import PUBLISHED, Provenance
from mcppool.spec.model import Section, contradiction
from mcppool.spec.naming import TOML
from mcppool.spec.pool import PoolSpec
from mcppool.spec.problems import ConfigError, Problem
from mcppool.spec.reading import Reader
from mcppool.spec.sections.process import GatewayPlacement, ListenerSpec, LoggingSpec, MetricsSpec
from mcppool.spec.sections.protection import MemoryLimitsSpec
from mcppool.spec.values import Integer

API_VERSION: Final = "mcppool.dev/snapshot/v1"
_VERSION = re.compile(r"mcppool\.dev/snapshot/v([0-9]{1,6})", re.ASCII)
_OUTSIDE_HASH = frozenset({"apiVersion", "term", "generation", "hash"})


class Snapshot(Section):
    """The complete configuration of a gateway: its pools, each with endpoints and policy, and its process settings."""

    term: Integer = Field(
        0, ge=0, description="Term of the operator's leader; a gateway ignores a snapshot from an earlier term."
    )
    generation: Integer = Field(0, ge=0, description="Generation of the McpServerPool that it was made from.")
    pools: tuple[PoolSpec, ...] = Field((), description="The pools to serve.")
    listener: ListenerSpec = Field(ListenerSpec(), description="The address for clients.")
    metrics: MetricsSpec = Field(MetricsSpec(), description="The admin port.")
    logging: LoggingSpec = Field(LoggingSpec(), description="Log lines.")
    limits: MemoryLimitsSpec = Field(MemoryLimitsSpec(), description="Bounds for the process.")
    gateway: GatewayPlacement = Field(GatewayPlacement(), description="Where this gateway runs.")
    seed: Integer | None = Field(None, description="Makes every random choice repeatable; set by the profile `test`.")
    unknown_fields: Integer = Field(0, exclude=True, description="Fields that were ignored when this was read.")
    published_hash: str | None = Field(
        None,
        exclude=True,
        description="The published hash, if it differs from the hash of the known fields.",
    )

    _provenance: Provenance = PrivateAttr(PUBLISHED)

    @property
    def provenance(self) -> Provenance | None:
        """The origin of each value; None for a snapshot that the operator published."""
        return self._provenance if self._provenance.profile else None  # by value: pydantic copies defaults

    def with_provenance(self, provenance: Provenance) -> Snapshot:
        """The same snapshot with the origins of its values."""
        snapshot = self.model_copy()
        snapshot._provenance = provenance
        return snapshot

    @model_validator(mode="after")
    def _distinct_pools(self) -> Snapshot:
        seen: set[str] = set()
        for index, pool in enumerate(self.pools):
            if pool.name in seen:
                raise contradiction('two pools are named "{name}"', f"pools.{index}.name", name=pool.name)
            seen.add(pool.name)
        return self

    @model_validator(mode="after")
    def _distinct_ports(self) -> Snapshot:
        port = self.metrics.port
        if (
            self.metrics.enabled
            and port
            and port == self.listener.port
            and _overlap(self.metrics.host, self.listener.host)
        ):
            raise contradiction(
                "the admin port {port} is listener.listen's too", "metrics.port", "listener.listen", port=str(port)
            )
        return self

    @cached_property
    def hash(self) -> str:
        """`sha256:…` of the content: the same configuration has the same hash in every term and generation."""
        return self.published_hash or _hash(self.written())


def _overlap(one: str, other: str) -> bool:
    everywhere = {"0.0.0.0", "::"}  # noqa: S104
    names = {one, other}
    return one == other or bool(everywhere & names) or ("localhost" in names and bool({"127.0.0.1", "::1"} & names))


def render_snapshot(snapshot: Snapshot) -> str:
    """Canonical JSON: the same snapshot gives the same bytes."""
    return _canonical({"apiVersion": API_VERSION, "hash": snapshot.hash, **snapshot.written()})


def render_differences(snapshot: Snapshot) -> str:
    """Canonical JSON of the values that differ from the defaults, for `read_snapshot` of the same version."""
    return _canonical({"apiVersion": API_VERSION, **snapshot.model_dump(mode="json", exclude_defaults=True)})


def read_snapshot(document: bytes | str, source: str = "snapshot") -> Snapshot:
    """The snapshot in a JSON document; ConfigError if it is not one, is damaged, or is of a newer major version."""
    try:
        data = json.loads(document)
    except ValueError as error:
        raise ConfigError([Problem("", f"is not JSON: {error}", source=source)]) from None
    except RecursionError:
        raise ConfigError([Problem("", "is nested too deeply", source=source)]) from None
    if not isinstance(data, dict):
        raise ConfigError([Problem("", "is not a JSON object", source=source)])
    published = _check_envelope(data, source)
    reader = Reader(Snapshot, TOML, lenient=True)
    content = {
        key: value
        for key, value in data.items()
        if key not in ("apiVersion", "hash", "unknown_fields", "published_hash")
    }
    snapshot = reader.read(content)
    if snapshot is None:
        raise ConfigError([finding.at(Snapshot, TOML, source) for finding in reader.findings])
    extra: dict[str, Any] = {"unknown_fields": reader.unknown_fields}
    if published is not None and published != snapshot.hash:
        extra["published_hash"] = published
    return Snapshot.model_construct(**dict(snapshot) | extra)


def _check_envelope(data: dict[str, Any], source: str) -> str | None:
    """The hash that the document claims, checked; ConfigError if the format or the hash is wrong."""
    version = data.get("apiVersion")
    match = _VERSION.fullmatch(version) if isinstance(version, str) else None
    if match is None:
        raise ConfigError(
            [Problem("apiVersion", "is not the version of a snapshot", version, API_VERSION, source=source)]
        )
    if int(match[1]) > 1:
        raise ConfigError(
            [Problem("apiVersion", f"{version} is newer than this gateway", version, API_VERSION, source=source)]
        )
    published = data.get("hash")
    if published is None:
        return None
    if published != _hash(data):
        raise ConfigError(
            [Problem("hash", "does not match the content: the document is damaged", published, source=source)]
        )
    return str(published)


def _hash(data: dict[str, Any]) -> str:
    content = {key: value for key, value in data.items() if key not in _OUTSIDE_HASH}
    return "sha256:" + hashlib.sha256(_canonical(content).encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(data: dict[str, Any]) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
