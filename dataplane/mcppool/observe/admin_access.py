"""Access to the admin port: by `Host`, client certificate and bearer token. Probes need neither, and get no details."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from mcppool.observe.bearer_token import BearerToken

OPEN: Final = frozenset({"/livez", "/readyz", "/jwks.json"})
"""Public pages: probes have no credentials, and public keys are no secret."""
_STRANGER: Final = web.RequestKey("stranger", bool)
_MAX_SHOWN: Final = 255


class AdminAccess:
    """`host_allowed` judges the `Host` of a request; without it every `Host` is served. `token` is the token that a
    request must carry."""

    def __init__(
        self,
        host_allowed: Callable[[str], bool] | None = None,
        token: BearerToken | None = None,
        *,
        certificate: bool = False,
    ) -> None:
        self._certificate = certificate
        self._host_allowed = host_allowed
        self._token = token

    @property
    def check(self) -> Callable[..., Awaitable[web.StreamResponse]]:
        """A middleware of aiohttp."""

        @web.middleware
        async def check(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            refusal = self._wrong_host(request) or self._no_certificate(request) or self._wrong_token(request)
            if refusal is not None and request.path not in OPEN:
                raise refusal
            request[_STRANGER] = refusal is not None
            return await handler(request)

        return check

    def _wrong_host(self, request: web.Request) -> web.HTTPException | None:
        host = request.headers.get(hdrs.HOST, "")
        if self._host_allowed is None or self._host_allowed(host):
            return None
        shown = host if len(host) <= _MAX_SHOWN else f"{host[:_MAX_SHOWN]}…"
        text = f'Host "{shown}" is not served here; metrics.allowed_hosts lists the names that are'
        return web.HTTPMisdirectedRequest(text=text.encode(errors="replace").decode() if host else "There is no Host")

    def _no_certificate(self, request: web.Request) -> web.HTTPException | None:
        if not self._certificate or request.get_extra_info("peercert"):
            return None
        return web.HTTPForbidden(text="this page asks for a client certificate of metrics.tls.client_ca_file")

    def _wrong_token(self, request: web.Request) -> web.HTTPException | None:
        given = request.headers.getall(hdrs.AUTHORIZATION, [])
        if self._token is None or (len(given) == 1 and self._token.matches(given[0])):
            return None  # with two, a proxy in front might have believed the other one
        return web.HTTPUnauthorized(
            text="this page asks for the bearer token of metrics.token_file",
            headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="mcppool"'},
        )


def is_stranger(request: web.Request) -> bool:
    """Whether a probe has a wrong `Host` or token: it gets its status, and no names or addresses."""
    return request[_STRANGER]
