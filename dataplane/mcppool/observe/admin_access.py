"""Who may ask the admin port. Probes of an orchestrator are answered to everybody: they tell nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from mcppool.observe.bearer_token import BearerToken

PROBES: Final = frozenset({"/livez", "/readyz"})
_LONGEST_SHOWN: Final = 255


class AdminAccess:
    """`host_allowed` judges the `Host` of a request (all are served without it); `token` is what it must show."""

    def __init__(self, host_allowed: Callable[[str], bool] | None = None, token: BearerToken | None = None) -> None:
        self._host_allowed = host_allowed
        self._token = token

    @property
    def check(self) -> Callable[..., Awaitable[web.StreamResponse]]:
        """A middleware of aiohttp."""

        @web.middleware
        async def check(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            if request.path not in PROBES:
                self._demand_host(request.headers.get(hdrs.HOST, ""))
                self._demand_token(request.headers.get(hdrs.AUTHORIZATION))
            return await handler(request)

        return check

    def _demand_host(self, host: str) -> None:
        if self._host_allowed is not None and not self._host_allowed(host):
            shown = host if len(host) <= _LONGEST_SHOWN else f"{host[:_LONGEST_SHOWN]}…"
            text = f'Host "{shown}" is not served here; metrics.allowed_hosts lists the names that are'
            raise web.HTTPMisdirectedRequest(text=text)

    def _demand_token(self, authorization: str | None) -> None:
        if self._token is not None and not self._token.matches(authorization):
            raise web.HTTPUnauthorized(
                text="this page asks for the bearer token of metrics.token_file",
                headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="mcppool"'},
            )
