"""The address of an endpoint, and the way to open a connection to it."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass, field

from mcppool.spec.address import split_authority, without_brackets
from mcppool.tls_failure import tls_failure
from mcppool.upstream.failures import ConnectFailed
from mcppool.upstream.http.connection import Connection, ConnectionOwner
from mcppool.upstream.http.sockets import EndpointSockets
from mcppool.upstream.http.tls import UpstreamTls
from mcppool.upstream.timeouts import within

OUR_OWN = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)
NOBODY_THERE = (errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH)


@dataclass(frozen=True, slots=True)
class Target:
    """The address of an endpoint. `tls` is set for `https`; `authority` is the name of the server in requests. A socket
    file `path` replaces host and port; `trouble` returns why nothing listens on it. `sockets` has those of all
    connections to it."""

    host: str
    port: int
    tls: UpstreamTls | None = None
    authority: str = ""
    path: str | None = None
    trouble: Callable[[], str] | None = None
    sockets: EndpointSockets = field(default_factory=EndpointSockets, compare=False)

    async def connect(self, loop: asyncio.AbstractEventLoop, owner: ConnectionOwner, timeout: float) -> Connection:
        """Open a connection that belongs to `owner`, within `timeout` seconds. Raises ConnectFailed."""
        connection = Connection(loop, owner)
        try:
            if self.path is not None:
                sock = await self.sockets.connect_path(loop, self.path)
                await loop.create_unix_connection(lambda: connection, sock=sock)
            else:
                async with within(timeout):
                    await self._connect_host(loop, connection)
        except (OSError, TimeoutError, UnicodeError) as error:  # the last: a name that cannot be a host name
            if self.path is not None:
                trouble = self.trouble() if self.trouble is not None else ""
                raise ConnectFailed(trouble or str(error), ours=getattr(error, "errno", None) in OUR_OWN) from error
            why = tls_failure(error) or str(error) or f"no connection within {timeout:g} s"
            if isinstance(error, ConnectionRefusedError):  # the event loops word it differently
                why = "connection refused: nothing listens there"
            late = None if str(error) else "connection_pool.connection_timeout"
            code = getattr(error, "errno", None)
            silent = isinstance(error, TimeoutError) or code in NOBODY_THERE
            raise ConnectFailed(
                f"{self.host}:{self.port}: {why}", limit=late, silent=silent, ours=code in OUR_OWN
            ) from error
        except BaseException:
            connection.close()  # it may stand already
            raise
        return connection

    async def _connect_host(self, loop: asyncio.AbstractEventLoop, connection: Connection) -> None:
        context = name = None
        if self.tls is not None:
            context = self.tls.context()
            named = without_brackets(split_authority(self.authority)[0]).lower()
            name = self.tls.server_name or named or self.host
        sock = await self.sockets.connect_host(loop, self.host, self.port)
        await loop.create_connection(lambda: connection, sock=sock, ssl=context, server_hostname=name)
