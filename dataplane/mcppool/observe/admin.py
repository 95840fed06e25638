"""The admin port: liveness, readiness, health, the configuration in force, metrics, and a status page for people.

It is read-only: GET and HEAD. Everything but `/metrics` and the page `/` is JSON, errors too.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from secrets import token_hex
from typing import Final

import msgspec
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

import mcppool
from mcppool.advise.rules import advice_body
from mcppool.built import BUILD
from mcppool.observe import exposition
from mcppool.observe.admin_access import AdminAccess, is_stranger
from mcppool.observe.logs import get_logger
from mcppool.observe.other_gateways import OtherGateways
from mcppool.observe.page import make_page
from mcppool.observe.pages import AdminPages, told
from mcppool.observe.problems import problems
from mcppool.observe.status_json import health_body
from mcppool.observe.views import ComponentHealth

LAG_LIMIT: Final = 5.0
"""Seconds that the event loop may be late before `/livez` says that the process is not alive."""

MAX_DIGITS: Final = 15
"""Digits of a slot's number."""

log = get_logger(__name__)


def _is_no_malformed_request(record: logging.LogRecord) -> bool:
    """aiohttp answers 400 to a malformed request. A traceback for each would let strangers fill the log."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


_library_log: Final = logging.getLogger("mcppool.observe.admin.aiohttp")
_library_log.addFilter(_is_no_malformed_request)


class AdminServer:
    """Serves the admin port between `start` and `stop`.

    `port` is the real port once started, so 0 may be requested. `door` controls access to everything but the probes.
    `others` makes, for the name of this instance, the other gateways that pages of all gateways ask.
    """

    def __init__(
        self,
        host: str | Sequence[str],
        port: int,
        pages: AdminPages,
        door: AdminAccess | None = None,
        others: Callable[[str], OtherGateways] | None = None,
    ) -> None:
        self._door = door or AdminAccess()
        self._instance = token_hex(8)
        self._others = others(self._instance) if others is not None else None
        self._hosts = [host] if isinstance(host, str) else host
        self.port = port
        self._pages = pages
        self._metrics_error: str | None = None
        self._page = make_page()
        self._runner: web.AppRunner | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen, for HTTPS with `tls`; raises OSError if that fails."""
        app = web.Application(middlewares=[_answer_in_json, self._door.check], client_max_size=1024)
        app.router.add_get("/", self._status_page)
        app.router.add_get("/status.json", self._status)
        app.router.add_get("/history.json", self._history)
        app.router.add_get("/slots.json", self._slots)
        app.router.add_get("/advice.json", self._advice)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/health", self._health)
        app.router.add_get("/configz", self._configz)
        app.router.add_get("/load", self._load)
        app.router.add_get("/jwks.json", self._jwks)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(
            app, access_log=None, logger=_library_log, keepalive_timeout=30, max_line_size=4096, max_field_size=4096,
            shutdown_timeout=1,
        )  # fmt: skip
        await self._runner.setup()
        try:
            for host in self._hosts:
                await web.TCPSite(self._runner, host, self.port, ssl_context=tls).start()
        except OSError:
            await self.stop()
            raise
        self.port = self._runner.addresses[0][1]
        self._pages.start()

    async def stop(self) -> None:
        """Close the port; answers in progress get a second."""
        self._pages.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _livez(self, _: web.Request) -> web.Response:
        lag = await self._pages.lag()
        return _json({"alive": lag < LAG_LIMIT, "loopLag": round(lag, 3)}, 200 if lag < LAG_LIMIT else 503)

    async def _readyz(self, request: web.Request) -> web.Response:
        waiting = await self._pages.ready()
        if is_stranger(request):
            return _json({"ready": not waiting}, 503 if waiting else 200)
        servers = dict(await self._pages.answering())
        return _json({"ready": not waiting, "notReady": dict(waiting), "servers": servers}, 503 if waiting else 200)

    async def _health(self, _: web.Request) -> web.Response:
        body = health_body(await self._components())
        return _json(body, 503 if body["overall"] == "unhealthy" else 200)

    async def _configz(self, request: web.Request) -> web.Response:
        body = {**await self._pages.config(), "version": mcppool.__version__, "build": BUILD}
        if request.query.get("settings") != "none":  # the operator asks for the rest alone, which is always small
            body |= await self._pages.settings()
        return _json(body)

    async def _jwks(self, _: web.Request) -> web.Response:
        return _json({"keys": list(await self._pages.public_keys())})

    async def _load(self, _: web.Request) -> web.Response:
        return _json(await self._pages.load())

    async def _status(self, request: web.Request) -> web.Response:
        body = {**await self._pages.status(await self._components()), "instance": self._instance}
        others = self._asked_for(request)
        if others is not None:
            return _json(await others.status(body))
        return _json({**body, "problems": problems(body)})

    async def _history(self, request: web.Request) -> web.Response:
        after, series = _after(request), request.query.get("series", "all")
        if series not in ("all", "none"):
            raise web.HTTPBadRequest(text="series is neither all nor none")
        past = self._pages.past
        others = self._asked_for(request)
        if others is not None:
            past = await others.history(list(past.slots()))
        return _json(await told(past, after, series == "all", await self._pages.config_changes()))

    def _asked_for(self, request: web.Request) -> OtherGateways | None:
        """The other gateways, if the page is to show all and there are others."""
        others = self._others
        return others if others is not None and others.configured and request.query.get("gateways") == "all" else None

    async def _slots(self, request: web.Request) -> web.Response:
        """The history as other gateways add it up."""
        slots = [*self._pages.past.slots(_after(request))]
        return _json(msgspec.to_builtins({"instance": self._instance, "slots": slots}))

    async def _advice(self, _: web.Request) -> web.Response:
        pages = self._pages
        settings, workload = await pages.settings(), await pages.workload()
        status, history = await pages.status({}), await told(pages.past, None, True, [])
        return _json(advice_body(settings, status, history, workload))

    async def _status_page(self, _: web.Request) -> web.Response:
        return web.Response(body=self._page.body, content_type="text/html", charset="utf-8", headers=self._page.headers)

    async def _metrics(self, request: web.Request) -> web.Response:
        openmetrics = exposition.wants_openmetrics(request.headers.get(hdrs.ACCEPT, ""))
        text = []
        try:
            families = await self._pages.families()
            if families is None:
                raise web.HTTPNotFound(text="metrics are switched off by the configuration")
            for piece in exposition.pieces(families, openmetrics=openmetrics):
                text.append(piece)
                await asyncio.sleep(0)  # calls go on meanwhile
        except web.HTTPException:
            raise
        except Exception as error:
            self._metrics_error = repr(error)
            raise
        self._metrics_error = None
        kind = exposition.OPENMETRICS_TYPE if openmetrics else exposition.CONTENT_TYPE
        return web.Response(body=b"".join(text), headers={hdrs.CONTENT_TYPE: kind})

    async def _components(self) -> dict[str, ComponentHealth]:
        return {**await self._pages.health(), "metrics": self._metrics_health()}

    def _metrics_health(self) -> ComponentHealth:
        if self._metrics_error is not None:
            return ComponentHealth("unhealthy", f"the last scrape failed: {self._metrics_error}")
        return ComponentHealth("healthy", "served at /metrics" if self._pages.has_metrics else "switched off")


@web.middleware
async def _answer_in_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        kept = (hdrs.ALLOW, hdrs.WWW_AUTHENTICATE)
        headers: dict[str, str] = {name: refusal.headers[name] for name in kept if name in refusal.headers}
        return _json({"error": refusal.text}, refusal.status, headers)
    except Exception as error:
        log.error("admin_request_failed", path=request.path, exception=repr(error))
        return _json({"error": "internal error; see the log"}, 500)


def _json(body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    text = json.dumps(body) + "\n"
    return web.Response(
        text=text,
        status=status,
        content_type="application/json",
        headers={hdrs.CACHE_CONTROL: "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})},
    )


def _after(request: web.Request) -> int | None:
    """The number of the slot after which the asker's interest begins."""
    after = request.query.get("after")
    if after is not None and not (after.isascii() and after.isdigit() and len(after) <= MAX_DIGITS):
        raise web.HTTPBadRequest(text="after is not the number of a slot: `newest` of an earlier answer")
    return None if after is None else int(after)
