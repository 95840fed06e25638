"""The credentials of a pool at its servers (`auth.outbound`): the gateway's own, and those on behalf of clients."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from mcppool.observe.logs import get_logger
from mcppool.pipeline.background import BackgroundTasks
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.on_behalf import OnBehalf
from mcppool.pipeline.pool.access_token import AccessToken
from mcppool.spec import PoolSpec
from mcppool.upstream.oauth.client import OAuthClient
from mcppool.upstream.oauth.exchanged_tokens import ExchangedTokens
from mcppool.upstream.oauth.identity import Identity
from mcppool.upstream.oauth.token_response import TokenUnavailable

log = get_logger("outbound")


class PoolCredentials:
    """The `Credentials` of a pool: an access token, the identity header, or both."""

    def __init__(self, token: AccessToken | None, identity: Identity | None, *, exchanges: bool, missing: str) -> None:
        self.token = token
        self.exchanges = exchanges
        self._identity = identity
        self._missing = missing or None
        self.own_identity = identity.line(None, time.time()) if identity is not None else b""

    @property
    def line(self) -> bytes:
        """See `Credentials`."""
        return self.own_identity + (self.token.line if self.token is not None else b"")

    @property
    def client_line(self) -> bytes:
        """See `Credentials`."""
        return b"" if self.token is None or self.exchanges else self.token.line

    @property
    def missing(self) -> str | None:
        """See `Credentials`."""
        return self._missing or (self.token.missing if self.token is not None else None)

    @property
    def missing_for_clients(self) -> str | None:
        """See `Credentials`."""
        return self._missing if self.exchanges else self.missing

    async def obtain(self) -> None:
        """See `Credentials`."""
        if self.token is not None:
            await self.token.obtain()

    async def settle(self) -> None:
        """See `Credentials`."""
        if self.token is not None:
            await self.token.settle()

    def refused(self, sent_at: float) -> bool:
        """See `Credentials`."""
        return self.token is not None and self.token.refused(sent_at)

    def sign_again(self) -> bool:
        """Renew the gateway's own identity header if it is time; returns whether it has changed."""
        before = self.own_identity
        if self._identity is not None:
            self.own_identity = self._identity.line(None, time.time())
        return before != self.own_identity

    def start(self) -> None:
        """Begin to fetch."""
        if self.token is not None:
            self.token.start()

    async def stop(self) -> None:
        """End the renewals."""
        if self.token is not None:
            await self.token.stop()


class Outbound:
    """Keeps the credentials in line with the configuration.

    `credentials` is None if the gateway's own are in files, or it has none; `on_behalf` is None if requests of clients
    carry only the gateway's own.
    """

    def __init__(self, spec: PoolSpec, endpoints: Endpoints, background: BackgroundTasks) -> None:
        self._endpoints = endpoints
        self._background = background
        self._started = False
        self._make(spec)

    def start(self) -> None:
        """Begin to fetch."""
        self._started = True
        if self.credentials is not None:
            self.credentials.start()

    def configure(self, spec: PoolSpec) -> None:
        """Apply a changed `auth.outbound`. Endpoints get the new credentials when they are reconfigured."""
        if self.credentials is not None:
            self._background.close(self.credentials.stop())
        self._make(spec)  # tokens that are being exchanged just now still reach the calls that wait for them
        if self.credentials is not None and self._started:
            self.credentials.start()

    async def stop(self) -> None:
        """End the renewals and the fetches."""
        credentials, tokens = self.credentials, self.on_behalf.tokens if self.on_behalf is not None else None
        if credentials is not None:
            await credentials.stop()
        if tokens is not None:
            await tokens.stop()

    def refresh(self) -> None:
        """Renew expired parts."""
        if self.credentials is not None and self.credentials.sign_again():
            self._changed()

    def public_keys(self) -> list[dict[str, Any]]:
        """The public keys of the identity header, as JWKs."""
        identity = self.on_behalf.identity if self.on_behalf is not None else None
        return identity.public_keys(time.time()) if identity is not None else []

    def _make(self, spec: PoolSpec) -> None:
        outbound = spec.auth.outbound
        identity: Identity | None = None
        missing = ""
        if outbound.identity is not None:
            try:
                identity = Identity(outbound.identity, spec.name)
            except TokenUnavailable as error:
                missing = f"no identity header: {error}"
                log.error("identity_unavailable", pool=spec.name, cause=str(error))
        client = outbound.client_credentials or outbound.token_exchange
        oauth = OAuthClient(client) if client is not None else None
        token = AccessToken(spec.name, oauth.own_token, self._changed) if oauth is not None else None
        exchange = outbound.token_exchange
        tokens: ExchangedTokens | None = None
        if exchange is not None and oauth is not None and token is not None:
            tokens = ExchangedTokens(
                partial(oauth.ask, scopes=exchange.scopes), partial(_value_of, token) if exchange.actor else None
            )
        needed = token is not None or identity is not None or missing
        self.credentials = (
            PoolCredentials(token, identity, exchanges=tokens is not None, missing=missing) if needed else None
        )
        self.on_behalf = OnBehalf(identity, tokens) if identity is not None or tokens is not None else None

    def _changed(self) -> None:
        for endpoint in (*self._endpoints.values(), *self._endpoints.leaving):
            endpoint.head.compose()
            if endpoint.health.refuses_checks is not None:
                endpoint.wake_prober()


async def _value_of(token: AccessToken) -> str:
    await token.obtain()
    return token.line.partition(b" Bearer ")[2].strip().decode("ascii")
