"""`make bench-access`: CPU time per call of clients that show a key or a token, beside clients that show nothing.

Each client has one credential, which the gateway knows after the first call. The first table is the way of a request
from its bytes to the pool, in this process and without sockets: the best of many batches, in turns, so other load on
the machine hardly matters. With `--gateways`, whole gateways are loaded in turns; ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import secrets
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import process_time
from typing import NamedTuple, cast

import jwt
import uvloop
from cryptography.hazmat.primitives.asymmetric import ec

from bench import command, machine, report, targets, turns
from bench.command import Result
from bench.processes import Failed
from bench.scenes import Scene
from bench.turns import Rounds, in_turns, with_upstream
from mcppool.access.inbound import InboundAuth
from mcppool.access.key_file import ApiKey, hash_of, render_key
from mcppool.gateway.allowed_hosts import AllowedHosts
from mcppool.gateway.router import Router
from mcppool.observe.metrics import GatewayMetrics
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.outcome import Outcome
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec.sections.inbound import InboundAuthSpec
from tests.servers import modern_call
from tests.unit.gateway.http.driving import Wire
from tests.unit.gateway.test_router import AT_WORK, Pipeline, pool_of, post

ISSUER = "https://id.example"
RESOURCE = "https://mcp.example/mcp"
CALLS = 1000
"""Calls of a batch."""


class Kind(NamedTuple):
    """A kind of authentication: the section of a pool, and what its clients show."""

    name: str
    section: str
    token: str


def api_keys(folder: Path) -> tuple[str, str]:
    """The section of a pool with one key, and the key."""
    secret = secrets.token_urlsafe(32)
    (folder / "keys.toml").write_text(render_key(ApiKey("bench", hash_of(secret))))
    return f'type = "api_keys"\napi_keys = {{keys_file = "{folder / "keys.toml"}"}}', secret


def access_token(folder: Path) -> tuple[str, str]:
    """The section of a pool with one issuer, and a token of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    (folder / "jwks.json").write_text(json.dumps({"keys": [public | {"kid": "k1", "use": "sig", "alg": "ES256"}]}))
    now = int(time.time())
    claims = {
        "iss": ISSUER, "aud": RESOURCE, "sub": "ann", "client_id": "bench", "scope": "mcp:use", "jti": "1",
        "iat": now, "exp": now + 86_400,
    }  # fmt: skip
    token = jwt.encode(claims, key, "ES256", headers={"kid": "k1", "typ": "at+jwt"})
    issuers = f'[{{issuer = "{ISSUER}", jwks_file = "{folder / "jwks.json"}"}}]'
    return f'type = "jwt"\nresource = "{RESOURCE}"\njwt = {{issuers = {issuers}}}', token


def kinds(folder: Path) -> list[Kind]:
    """A pool of each kind, and one for everybody whose clients send a token that nobody asks for."""
    keys, key = api_keys(folder)
    jwts, token = access_token(folder)
    return [
        Kind("none", 'type = "none"', ""),
        Kind("none, with a token", 'type = "none"', token),
        Kind("api_keys", keys, key),
        Kind("jwt", jwts, token),
    ]


# --- from bytes to the pool ------------------------------------------------------------------------------------------


class Pool:
    """A pool that answers each call at once."""

    async def serve(self, _name: str, _call: Call, reply: Reply, _outcome: Outcome) -> None:
        reply.whole(200, b"content-type: application/json\r\n", b"{}")


def front_of(kind: Kind) -> tuple[Wire, bytes]:
    """A connection to a listener of one pool, and the bytes of a call."""
    router = Router(GatewayMetrics(), AllowedHosts("127.0.0.1", (), ()), MemoryBudget())
    spec = InboundAuthSpec.model_validate(tomllib.loads(kind.section))
    auth = {}
    if spec.type != "none":
        auth = {"echo": InboundAuth(spec, "echo", {b"/mcp": RESOURCE}, Counter(), lambda: None)}
    router.serve_pools({"echo": pool_of("echo", ())}, auth)
    headers, body = modern_call("echo", {"text": "text 1000000"})
    if kind.token:
        headers["Authorization"] = f"Bearer {kind.token}"
    return Wire(router.handle), post("/mcp", headers, body)


async def batch(wire: Wire, request: bytes) -> float:
    """Seconds of CPU time for each of `CALLS` calls on the connection."""
    connection, transport = wire.connection, wire.transport
    began = process_time()
    for _ in range(CALLS):
        connection.data_received(request)
        while connection.busy:  # noqa: ASYNC110 (an event would be part of the cost)
            await asyncio.sleep(0)
    spent = process_time() - began
    transport.written.clear()
    wire.requests.clear()
    return spent / CALLS


async def admission(some: Sequence[Kind], batches: int) -> dict[str, float]:
    """Seconds for each kind."""
    AT_WORK.append(cast(Pipeline, Pool()))
    fronts = {kind.name: front_of(kind) for kind in some}
    for wire, request in fronts.values():
        await wire.say(request)
        if wire.statuses != [200]:
            raise Failed(f"a call was answered with {wire.said!r}")
        await batch(wire, request)
    best = dict.fromkeys(fronts, math.inf)
    for _ in range(batches):
        for name, (wire, request) in fronts.items():
            best[name] = min(best[name], await batch(wire, request))
    return best


def admission_table(best: Mapping[str, float]) -> str:
    rows = [
        [name, f"{cost * 1e6:.1f}", f"{(cost - best['none']) * 1e6:+.1f}" if name != "none" else ""]
        for name, cost in best.items()
    ]
    return report.table(["`auth.inbound.type`", "CPU µs from bytes to the pool", "more than none"], rows)


# --- whole gateways --------------------------------------------------------------------------------------------------


def measure_gateways(options: argparse.Namespace) -> Rounds:
    with with_upstream() as bench:
        running = [
            targets.mcppool(bench, kind.name, f"[pools.auth.inbound]\n{kind.section}\n", kind.token)
            for kind in kinds(bench.directory)
        ]
        scene = Scene("access", "clients that the gateway knows", clients=options.clients)
        return in_turns(bench, running, scene, options)


def gateways_table(options: argparse.Namespace, rounds: Rounds) -> str:
    rows = []
    for name, each in rounds.items():
        shown = turns.ratio(rounds, name, "none") if name != "none" else ""
        rows.append([name, turns.cost(each), shown, report.noise(report.middle(each, "others"))])
    return turns.title(options) + report.table(["`auth.inbound.type`", "CPU µs/call", "÷ none", "others"], rows)


def measured(options: argparse.Namespace) -> Result:
    with tempfile.TemporaryDirectory(prefix="mcppool-bench-") as directory:
        best = uvloop.run(admission(kinds(Path(directory)), options.batches))
    parts = [report.versions_line(machine.versions()), admission_table(best)]
    rounds = measure_gateways(options) if options.gateways else {}
    if rounds:
        parts.append(gateways_table(options, rounds))
    found = {"admission": best, "rounds": turns.figures(rounds)}
    return Result("\n\n".join(parts), found, turns.others(rounds))


def main() -> int:
    parser = command.parser(__doc__)
    command.add_rounds(parser, 9)
    parser.add_argument("--batches", type=int, default=60, help="batches of the first table (default 60)")
    parser.add_argument("--gateways", action="store_true", help="load whole gateways, too")
    parser.add_argument("--clients", type=int, default=32, help="connections (default 32)")
    options = parser.parse_args()
    return command.run("access", options, lambda: measured(options))


if __name__ == "__main__":
    sys.exit(main())
