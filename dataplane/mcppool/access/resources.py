"""The URLs of a pool, as requests have them and as clients type them."""

from __future__ import annotations

from mcppool.spec import ListenerSpec, PoolSpec
from mcppool.spec.address import is_loopback, with_brackets


def paths_of(pool: str, *, only: bool) -> tuple[bytes, ...]:
    """The paths of a pool: /NAME/mcp, and before it /mcp for the only pool (design §6.5)."""
    own = f"/{pool}/mcp".encode()
    return (b"/mcp", own) if only else (own,)


def resources_of(listener: ListenerSpec, pool: PoolSpec, *, only: bool) -> dict[bytes, str]:
    """The URLs of a pool as clients type them, by the path at which requests come in, the canonical one first.

    They never depend on `Host`, which a client may choose. Empty if the configuration does not tell them.
    """
    paths = paths_of(pool.name, only=only)
    if pool.auth.inbound.resource is not None:
        return dict.fromkeys(paths, pool.auth.inbound.resource)
    base = listener.external_url or _own_url(listener)
    return {path: base + path.decode() for path in paths} if base is not None else {}


def _own_url(listener: ListenerSpec) -> str | None:
    """The URL of a listener on a loopback address, where no proxy is needed."""
    if not is_loopback(listener.host) or not listener.port:
        return None
    return f"{'http' if listener.tls is None else 'https'}://{with_brackets(listener.host)}:{listener.port}"
