"""The admin port as a configuration describes it: who may look, and the certificate that it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from mcppool.gateway.allowed_hosts import AllowedHosts
from mcppool.gateway.http.tls import Certificate, admin_tls, requires_certificates
from mcppool.gateway.listen_hosts import is_in_pod, listen_hosts
from mcppool.spec import Snapshot
from mcppool.supervision import supervise

if TYPE_CHECKING:
    from mcppool.observe.admin import AdminServer
    from mcppool.observe.other_gateways import Merge, OtherGateways
    from mcppool.observe.pages import AdminPages

LOOK_EVERY = 1.0  # seconds between two looks at the files of the certificate


class AdminPort:
    """An open admin port; `stop` closes it."""

    def __init__(self, server: AdminServer, certificate: Certificate | None) -> None:
        self._server = server
        self._watcher = (
            supervise("admin certificate", partial(_refresh, certificate)) if certificate is not None else None
        )

    @property
    def port(self) -> int:
        """Its number."""
        return self._server.port

    async def stop(self) -> None:
        """Close the port."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        await self._server.stop()


async def open_admin_port(
    snapshot: Snapshot, pages: Callable[[], AdminPages], gateways: Callable[[], Sequence[str]], merge: Merge | None
) -> AdminPort:
    """Open the admin port of a configuration. With `merge`, its pages may show all of `gateways` (their addresses).

    Raises OSError if the port is taken, ConfigError for a bad certificate.

    It brings half of all modules, and clients are served before anybody uses it. They are loaded in a thread, because
    the loop would stand still meanwhile, and the first checks of servers would seem late.
    """
    await asyncio.to_thread(load_admin_modules)
    from mcppool.observe.admin import AdminServer
    from mcppool.observe.admin_access import AdminAccess
    from mcppool.observe.bearer_token import BearerToken

    admin = snapshot.metrics
    tls = admin.tls
    door = AdminAccess(
        AllowedHosts(admin.host, admin.allowed_hosts, ()).host_allowed,
        BearerToken(admin.token_file) if admin.token_file else None,
        certificate=requires_certificates(tls),
    )
    others = partial(_other_gateways, gateways, merge, admin.token_file) if merge is not None else None
    server = AdminServer(listen_hosts(admin.host, in_pod=is_in_pod(snapshot)), admin.port, pages(), door, others)
    # The handshake asks for a certificate; each page decides whether it is required.
    own = Certificate(admin_tls(tls), "metrics.tls") if tls is not None else None
    await server.start(own.context if own is not None else None)
    return AdminPort(server, own)


def _other_gateways(
    addresses: Callable[[], Sequence[str]], merge: Merge, token_file: str | None, instance: str
) -> OtherGateways:
    from mcppool.observe.other_gateways import OtherGateways

    return OtherGateways(addresses, merge, instance, token_file)


def load_admin_modules() -> None:
    """Load the modules of the admin pages."""
    for module in ("mcppool.observe.admin", "mcppool.observe.collector"):
        import_module(module)


async def _refresh(certificate: Certificate) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY)
        certificate.refresh()
