"""Used DPoP proofs are remembered across changes of the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcppool.access.denied import Denied
from mcppool.access.dpop import ShownProof
from mcppool.gateway.authentication import Authentication
from mcppool.observe.metrics import GatewayMetrics
from mcppool.policy.principal import Principal
from mcppool.spec import Snapshot
from mcppool.spec.toml import loads_toml
from tests.dpop import KeyHolder
from tests.issuer import RESOURCE, Issuer
from tests.unit.access.peer import NO_CERTIFICATE


def snapshot(issuer: Issuer, jwks: Path, bound: str) -> Snapshot:
    return loads_toml(
        '[listener]\nexternal_url = "https://mcp.example.com"\n'
        '[[pools]]\nname = "demo"\nendpoints = ["http://127.0.0.1:8001/mcp"]\n'
        f'[pools.auth.inbound]\ntype = "jwt"\ndpop = "required"\nrevocation_bound = "{bound}"\n'
        f'jwt = {{issuers = [{{issuer = "{issuer.url}", jwks_file = "{jwks}"}}]}}\n'
    )


async def test_a_proof_cannot_be_used_again_after_a_change_of_the_configuration(tmp_path: Path) -> None:
    issuer, holder, jwks = Issuer(), KeyHolder(), tmp_path / "jwks"
    jwks.write_bytes(issuer.jwks)
    token = issuer.token(cnf=holder.binding)
    authentication = Authentication(GatewayMetrics(), lambda _: None)

    def configure(bound: str) -> None:
        wanted = snapshot(issuer, jwks, bound)
        authentication.apply(authentication.prepare(wanted), wanted)

    async def use(proof: str) -> Principal:
        auth = authentication.pools["demo"]
        credential = auth.read({"authorization": f"DPoP {token}"}, NO_CERTIFICATE)
        return await auth.authenticate(credential, "a", shown=True, proof=ShownProof(proof, "POST", RESOURCE))

    configure("5m")
    first, proof = authentication.pools["demo"], holder.proof(RESOURCE, token)
    await use(proof)
    configure("1m")
    assert authentication.pools["demo"] is not first
    with pytest.raises(Denied, match="used before"):
        await use(proof)
    assert (await use(holder.proof(RESOURCE, token))).subject == "ann"
    await authentication.close()
