"""Where the metadata of one pool and of several is served, under the URL that clients type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest

from mcppool.gateway.authentication import Authentication
from mcppool.observe.metrics import GatewayMetrics
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.spec import loads_toml
from tests.issuer import Issuer

ROOT = "/.well-known/oauth-protected-resource"


async def resources(folder: Path, external: str, *pools: str) -> Mapping[str, str]:
    """The resource of each document, by the document's path."""
    (folder / "jwks.json").write_bytes(Issuer().jwks)
    issuer = f'{{issuer = "https://id.example", jwks_file = "{folder}/jwks.json"}}'
    inbound = f'{{type = "jwt", jwt = {{issuers = [{issuer}]}}}}'
    sections = "".join(
        f'[[pools]]\nname = "{name}"\nendpoints = ["http://127.0.0.1:1/mcp"]\nauth = {{inbound = {inbound}}}\n'
        for name in pools
    )
    snapshot = loads_toml(f'profile = "test"\n[listener]\nexternal_url = "{external}"\n{sections}')
    authentication = Authentication(GatewayMetrics(), lambda _: None)
    authentication.apply(authentication.prepare(snapshot), snapshot)
    served = authentication.documents(cast(Mapping[str, ServerPool], MappingProxyType(dict.fromkeys(pools))))
    await authentication.close()
    found: dict[str, Any] = {path.decode(): json.loads(cast(bytes, document)) for path, document in served.items()}
    return {path: document["resource"] for path, document in found.items()}


@pytest.mark.parametrize("external", ["https://mcp.example.com", "https://mcp.example.com/", "https://Mcp.Example.com"])
async def test_an_only_pool_has_its_metadata_at_the_root_too(tmp_path: Path, external: str) -> None:
    url = external.rstrip("/")
    assert await resources(tmp_path, external, "one") == {
        ROOT: f"{url}/mcp",
        f"{ROOT}/mcp": f"{url}/mcp",
        f"{ROOT}/one/mcp": f"{url}/one/mcp",
    }


async def test_each_of_several_pools_has_metadata_of_its_own_and_none_is_at_the_root(tmp_path: Path) -> None:
    assert await resources(tmp_path, "https://example.com/tools", "one", "two") == {
        f"{ROOT}/tools/one/mcp": "https://example.com/tools/one/mcp",
        f"{ROOT}/tools/two/mcp": "https://example.com/tools/two/mcp",
    }
