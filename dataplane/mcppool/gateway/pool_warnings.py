"""Notes about a pool that need a person's decision."""

from __future__ import annotations

from collections.abc import Sequence

from mcppool.pipeline.pool.pool import ServerPool
from mcppool.spec.plural import counted


def pool_warnings(pool: ServerPool) -> tuple[str, ...]:
    """The pool's notes: tools that are not as pinned, local servers that do not share their state, and tools that the
    cache leaves out."""
    return (*_unpinned(pool), *_split_state(pool), *_uncached(pool))


def changed_tools(pool: ServerPool) -> tuple[str, ...]:
    """The names of the tools that differ from their pins, in order."""
    pinned = pool.settings.pinned_tools
    return () if pinned is None else tuple(sorted(pinned.changed))


def _unpinned(pool: ServerPool) -> tuple[str, ...]:
    changed = changed_tools(pool)
    if not changed:
        return ()
    count = counted(len(changed), "tool", ("is not", "are not"))
    then = "; clients do not get them" if pool.spec.catalog.pin == "deny" else ""
    return (
        f"{count} as pinned ({_named(changed)}){then}: see tool_changed in the log, and pin the right definitions anew",
    )


def _split_state(pool: ServerPool) -> tuple[str, ...]:
    """A note for a local server with several processes whose tools write: the other processes do not see the writes."""
    split = (
        pool.spec.command
        and len(pool.endpoints) > 1
        and (not pool.settings.catalog.legacy or pool.spec.sessions.stateless)
    )
    writing = sorted(tool.name for tool in pool.settings.catalog.tools.values() if not tool.read_only) if split else []
    if not writing:
        return ()
    named = _named(writing)
    return (
        f"{len(pool.endpoints)} processes of this server take calls in turn, and tools that may write ({named}) change "
        "one of them only: set replicas = 1 unless the server keeps its state elsewhere",
    )


def _uncached(pool: ServerPool) -> tuple[str, ...]:
    """A note about tools with a `cache_ttl` whose calls come in sessions, on whose state a result may depend."""
    if pool.caching is None or pool.spec.sessions.stateless:
        return ()
    known, policies = pool.settings.catalog.tools, pool.settings.tools
    names = sorted(name for name in pool.caching.in_sessions & known.keys() if policies.of(name).kept is not None)
    if not names:
        return ()
    return (
        f"calls of {_named(names)} in sessions of the servers are not cached, because results may depend on a session: "
        "set sessions.stateless = true if they do not",
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
