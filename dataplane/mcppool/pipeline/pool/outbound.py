"""The credentials of a pool at its servers (`auth.outbound`), if the gateway fetches them from an issuer."""

from __future__ import annotations

from mcppool.pipeline.background import BackgroundTasks
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.pool.access_token import AccessToken
from mcppool.spec import PoolSpec
from mcppool.upstream.oauth.client import OAuthClient


class Outbound:
    """Keeps `credentials` in line with the configuration; None if the pool's are in files, or it has none."""

    def __init__(self, spec: PoolSpec, endpoints: Endpoints, background: BackgroundTasks) -> None:
        self._endpoints = endpoints
        self._background = background
        self._started = False
        self.credentials = self._make(spec)

    def start(self) -> None:
        """Begin to fetch."""
        self._started = True
        if self.credentials is not None:
            self.credentials.start()

    def configure(self, spec: PoolSpec) -> None:
        """Apply a changed `auth.outbound`. Endpoints get the new credentials when they are reconfigured."""
        self._close()
        self.credentials = self._make(spec)
        if self.credentials is not None and self._started:
            self.credentials.start()

    async def stop(self) -> None:
        """End the renewals."""
        if self.credentials is not None:
            await self.credentials.stop()

    def _close(self) -> None:
        if self.credentials is not None:
            self._background.close(self.credentials.stop())

    def _make(self, spec: PoolSpec) -> AccessToken | None:
        client = spec.auth.outbound.client_credentials
        if client is None:
            return None
        return AccessToken(spec.name, OAuthClient(client).own_token, self._changed)

    def _changed(self) -> None:
        for endpoint in (*self._endpoints.values(), *self._endpoints.leaving):
            endpoint.head.compose()
            if endpoint.health.refuses_checks is not None:
                endpoint.wake_prober()
