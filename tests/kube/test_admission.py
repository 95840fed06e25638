"""Admitted means accepted: the models accept every pool that the CRD accepts, and the other way round."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mcppool.spec import ConfigError
from mcppool.spec.naming import RESOURCE
from mcppool.spec.resource import ResourceSpec, read_resource
from mcppool.spec.secret_refs import key_in
from mcppool.spec.sections.source import SourceSpec
from mcppool.spec.shape import fields_of
from mcppool_operator.api import KubeError
from mcppool_operator.resources import POOL
from tests.kube.administrator import Administrator
from tests.unit.spec.test_resource import SMALLEST
from tests.unit.spec.written import values

TRIES = 600
SOURCES = ("managed", "pods", "static")
WHOLE = {"source", "auth", "suspend"}


def pools() -> st.SearchStrategy[dict[str, Any]]:
    """The smallest pool with one section, or one source, of about the right form."""
    fields = fields_of(ResourceSpec)
    parts = [
        values(field.shape, RESOURCE).map(partial(_with, key_in(field, RESOURCE)))
        for name, field in fields.items()
        if name not in WHOLE
    ]
    members = fields_of(SourceSpec)
    return st.one_of(*parts, *(values(members[name].shape, RESOURCE).map(partial(_from, name)) for name in SOURCES))


def _with(key: str, value: Any) -> dict[str, Any]:
    return {**SMALLEST, key: value}


def _from(source: str, value: Any) -> dict[str, Any]:
    return {**SMALLEST, "source": {"type": source.capitalize(), source: value}}


def specs() -> list[dict[str, Any]]:
    """So many of them, the same each time."""
    found: list[dict[str, Any]] = []

    @settings(
        max_examples=TRIES, derandomize=True, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(pools())
    def collect(spec: dict[str, Any]) -> None:
        found.append(spec)

    collect()
    return found


async def test_the_api_server_and_the_models_agree_on_valid_pools(admin: Administrator) -> None:
    limit = asyncio.Semaphore(16)
    admitted = 0

    async def judged(spec: dict[str, Any]) -> str | None:
        """The difference, if the two do not agree."""
        nonlocal admitted
        pool = admin.here(POOL, "search", spec=spec)
        try:
            read_resource(pool)
            refused = None
        except ConfigError as error:
            refused = str(error)
        try:
            async with limit:
                path = f"{POOL.path(admin.namespace)}?dryRun=All&fieldValidation=Strict"
                stored = await admin.call("POST", path, pool)
        except KubeError as error:
            return None if refused else f"taken by the models, refused by the CRD: {error.message[:600]}\n  {spec}"
        if refused:
            return f"admitted by the CRD, refused by the models: {refused[:600]}\n  {spec}"
        admitted += 1
        try:
            read_resource(stored)
        except ConfigError as error:
            return f"refused as it is stored: {error}\n  {spec}"
        return None

    wrong = [verdict for verdict in await asyncio.gather(*map(judged, specs())) if verdict]
    assert not wrong, "\n".join(wrong)
    assert admitted > TRIES / 4, "too few good ones to show anything"
