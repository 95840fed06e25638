"""The proxies between the clients and the replicas: our gateway, nginx, the naive proxy."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from bench import machine, targets
from bench.faults.cases import Case
from bench.faults.clients import LEGACY, MODERN
from bench.faults.scene import Lengths, Scene, play
from bench.faults.verdict import GatewayLog, Verdict, judge
from mcppool.wire.sealing import generate_key_line
from tests.servers import Gateway, Replica, aserving, pool_toml, urls_of

PEERS: dict[str, Callable[[targets.Bench], targets.Target]] = {"nginx": targets.nginx, "naive": targets.naive}

# Profile `production`, except for times that must be shorter than a fault of a few seconds.
SECTIONS = """
[pools.connection_pool]
health_check_interval = "500ms"
reconnect_backoff = "100ms"
max_reconnect_backoff = "500ms"
[pools.health_check]
timeout = "500ms"
[pools.outlier_detection]
base_ejection_time = "{ejection}ms"
[pools.circuit_breaker]
open_duration = "{ejection}ms"
[pools.load_balancer]
slow_start = "500ms"
strategy = "{strategy}"
"""


async def ours(case: Case, replicas: Sequence[Replica], ledger: Path, lengths: Lengths) -> Verdict:
    """The case behind one gateway of ours, or two; clients of both eras."""
    sections = SECTIONS.format(ejection=int((lengths.fault + 0.5) * 1000), strategy=case.strategy)
    pools = pool_toml(*urls_of(replicas), sections=sections)
    with tempfile.TemporaryDirectory(prefix="mcppool-faults-") as folder:
        keys = Path(folder) / "sealing-keys"
        keys.write_text(generate_key_line(time.time()) + "\n")
        keys.chmod(0o600)
        names = ("mcppool", "second") if case.second else ("mcppool",)
        listener = f'sealing_keys = "{keys}"\nworkers = {case.workers}'
        fronts = [Gateway(Path(folder), pools, profile="production", listener=listener, name=name) for name in names]
        async with aserving(*fronts):
            scene = Scene(replicas, ledger, fronts[0], lengths)
            await play(scene, urls_of(fronts), case.fault, (MODERN, LEGACY), sdk=case.real)
            log = "".join(front.log for front in fronts)
        return judge(case, "mcppool", scene, GatewayLog(log))


async def peer(name: str, case: Case, replicas: Sequence[Replica], ledger: Path, lengths: Lengths) -> Verdict:
    """The case behind a proxy without sessions: modern clients only."""
    async with _running(name, urls_of(replicas)) as url:
        scene = Scene(replicas, ledger, None, lengths)
        await play(scene, [url], case.fault, (MODERN,))
        return judge(case, name, scene, None)


@asynccontextmanager
async def _running(name: str, upstreams: Sequence[str]) -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory(prefix="mcppool-faults-") as folder, ExitStack() as stack:
        load_core, target_core = machine.cores()
        bench = targets.Bench(Path(folder), load_core, target_core, stack, tuple(upstreams))
        yield (await asyncio.to_thread(PEERS[name], bench)).url
