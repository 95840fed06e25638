"""Facts about a pool's tools and its sampled calls, as JSON, for advice."""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

from mcppool.advise.repetition import Repetitions
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.retry_class import UNSAFE

MAX_TOOLS: Final = 500
"""Upper bound on the tools that are shown, those with calls first."""

_NONE: Final = Repetitions()


def workload_body(pool: ServerPool) -> dict[str, Any]:
    """The facts about one pool."""
    sample, catalog = pool.workload, pool.settings.catalog
    seen = sample.sketch.counts(monotonic())
    counted = {name for name, stats in pool.metrics.tools()}
    names = sorted(catalog.tools, key=lambda name: (name not in counted, name))[:MAX_TOOLS]
    return {
        "serverSessions": sample.server_sessions,
        "tools": {name: _tool(pool, name, seen.get(name, _NONE)) for name in names},
    }


def _tool(pool: ServerPool, name: str, seen: Repetitions) -> dict[str, Any]:
    info, policy = pool.settings.catalog.tools[name], pool.settings.tools.of(name)
    return {
        "annotation": "read-only" if info.read_only else "idempotent" if info.idempotent else "",
        "repeatable": policy.retry_class is not UNSAFE,
        "cached": policy.kept is not None,
        "sampled": seen.sampled,
        "repeated": seen.repeated,
        "seconds": round(seen.seconds, 6),
        "same": seen.same,
        "different": seen.different,
        "otherSession": seen.other_session,
        "inSession": seen.in_session,
    }
