"""A configuration file: the sections of the process, the defaults of every pool, and the pools."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mcppool.spec.model import Rule
from mcppool.spec.pool import PoolPolicy, PoolSpec
from mcppool.spec.profiles import Profile
from mcppool.spec.sections.auth import UpstreamTlsSpec
from mcppool.spec.sections.local import LocalSpec
from mcppool.spec.sections.process import GatewayPlacement, ListenerSpec, LoggingSpec, MetricsSpec
from mcppool.spec.sections.protection import ProcessLimitsSpec


class PoolDefaults(PoolPolicy):
    """Sections that a file may set for all its pools."""

    rules: ClassVar[tuple[Rule, ...]] = ()  # rules between sections apply in each pool, which may set the rest

    tls: UpstreamTlsSpec = Field(UpstreamTlsSpec(), description="How the gateway verifies https endpoints.")
    local: LocalSpec = Field(LocalSpec(), description="Processes of local servers.")


class FileSpec(PoolDefaults):
    """A configuration file."""

    profile: Profile = Field("production", description="The set of defaults.")
    pools: tuple[PoolSpec, ...] = Field((), description="The pools to serve.")
    listener: ListenerSpec = Field(ListenerSpec(), description="The address for clients.")
    metrics: MetricsSpec = Field(MetricsSpec(), description="The admin port.")
    logging: LoggingSpec = Field(LoggingSpec(), description="Log lines.")
    limits: ProcessLimitsSpec = Field(
        ProcessLimitsSpec(), description="Bounds on calls in flight, and on the memory of the process."
    )
    gateway: GatewayPlacement = Field(GatewayPlacement(), description="Where this gateway runs.")
