"""HTTP ports of the operator: metrics on one, probes on another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mcppool_operator import metrics
from mcppool_operator.liveness import Watches

log = logging.getLogger(__name__)

MAX_LAG = 5.0
"""Seconds of delay of the event loop after which the operator reports itself dead."""


class Pulse:
    """The delay of the event loop: a beat every second, and the time since the last one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self._last = self._clock()
            await asyncio.sleep(1)

    def lag(self) -> float:
        """Return the lateness of the next beat in seconds."""
        return max(0.0, self._clock() - self._last - 1)


class Readiness:
    """Whether all lists are done and all watches receive; a standby is ready too."""

    def __init__(self) -> None:
        self.watches: Watches | None = None

    def troubles(self) -> list[str]:
        """Return the missing parts, one line each."""
        return ["waiting for the API server"] if self.watches is None else self.watches.troubles()


@contextlib.asynccontextmanager
async def serve(
    host: str, metrics_port: int, probe_port: int, pulse: Pulse, readiness: Readiness
) -> AsyncIterator[None]:
    """Answer `/metrics`, and `/livez` and `/readyz`."""

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def livez(_: web.Request) -> web.Response:
        lag = pulse.lag()
        return web.Response(status=200 if lag < MAX_LAG else 503, text=f"event loop is {lag:.1f} s late\n")

    async def readyz(_: web.Request) -> web.Response:
        troubles = readiness.troubles()
        text = "".join(f"{trouble}\n" for trouble in troubles or ["watching"])
        return web.Response(status=503 if troubles else 200, text=text)

    bound: dict[str, int] = {}
    async with contextlib.AsyncExitStack() as stack:
        for name, port, routes in (
            ("metrics", metrics_port, [web.get("/metrics", show_metrics)]),
            ("probes", probe_port, [web.get("/livez", livez), web.get("/readyz", readyz)]),
        ):
            application = web.Application()
            application.add_routes(routes)
            runner = web.AppRunner(application, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, host or None, port).start()  # None: all addresses of both families
            bound[name] = runner.addresses[0][1]
        log.info("serving", extra=bound)
        yield
