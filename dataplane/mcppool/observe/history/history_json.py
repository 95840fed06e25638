"""The history as JSON: `/history.json`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from mcppool.observe.history.history import SLOTS, History
from mcppool.observe.history.quantiles import quantile
from mcppool.observe.history.series import EndpointSeries, PoolSeries, ToolSeries
from mcppool.observe.history.slots import POOL_COUNTS, SLOT_SECONDS, TOOL_COUNTS
from mcppool.observe.tool_stats import DURATION_BOUNDS

Body = dict[str, Any]

SHARES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
"""The quantiles of a summary. Series have the first and the last."""

_CALLS, _FAILED, _MODERN, _LEGACY, _BUDGET_EMPTY, _WAITING, _IN_FLIGHT, _PEAK = range(len(POOL_COUNTS))
_SUCCESS, _TOOL_ERROR, _ERROR, _REJECTED, _RETRIES, _HITS, _MISSES = range(len(TOOL_COUNTS))
_OF_TOOLS: Final = len(POOL_COUNTS)
"""Where the sums of the tools begin in a pool's counts."""


def history_body(history: History, after: int | None = None, *, series: bool = True) -> Iterator[Body | None]:
    """The body in pieces of work: yields None after each piece, so that calls may go on, and the body at last.

    The series have the slots after the one with the number `after`; without `series` there are only summaries, which
    always cover all kept slots.
    """
    numbers = history.numbers(after) if series else range(0)
    places = [number % SLOTS for number in numbers]
    covered = sum(history.seconds(number) for number in history.numbers())
    pools = []
    for name, pool in sorted(history.pools.items()):
        endpoints, tools = [], []
        for url, endpoint in list(pool.endpoints.items()):
            endpoints.append(_endpoint(url, endpoint, places))
            yield None
        for tool_name, tool in sorted(pool.tools.items()):
            tools.append(_tool(tool_name, tool, places))
            yield None
        pools.append({**_pool(name, pool, places), "endpoints": _with_shares(endpoints), "tools": tools})
    yield {
        "slotSeconds": SLOT_SECONDS,
        "newest": history.newest,
        "first": numbers.start if numbers else None,
        "seconds": [round(history.seconds(number), 1) for number in numbers],
        "covered": round(covered, 1),
        "pools": pools,
    }


def _pool(name: str, pool: PoolSeries, places: Sequence[int]) -> Body:
    sums = pool.counts.sums
    rows = [pool.counts.row(at) for at in places]
    return {
        "name": name,
        "summary": {
            "calls": sums[_CALLS],
            "failed": sums[_FAILED],
            "budgetEmpty": sums[_BUDGET_EMPTY],
            "eras": {"modern": sums[_MODERN], "legacy": sums[_LEGACY]},
            **_summary(sums[_OF_TOOLS:]),
        },
        "series": {
            "calls": [row[_CALLS] for row in rows],
            "failed": [row[_FAILED] for row in rows],
            "retries": [row[_OF_TOOLS + _RETRIES] for row in rows],
            "cacheHits": [row[_OF_TOOLS + _HITS] for row in rows],
            "waiting": [row[_WAITING] for row in rows],
            "inFlight": [row[_IN_FLIGHT] for row in rows],
            "peakInFlight": [row[_PEAK] for row in rows],
            **_quantiles([row[_OF_TOOLS:] for row in rows]),
        },
    }


def _tool(name: str, tool: ToolSeries, places: Sequence[int]) -> Body:
    rows = [tool.counts.row(at) for at in places]
    return {
        "name": name,
        "summary": {
            **_summary(tool.counts.sums),
            "reasons": {reason: counts.sums[0] for reason, counts in tool.reasons.items()},
        },
        "series": {
            "calls": [_calls(row) for row in rows],
            "failed": [row[_ERROR] + row[_REJECTED] for row in rows],
            "breaker": [tool.breakers[at] for at in places],
            **_quantiles(rows),
        },
    }


def _endpoint(url: str, endpoint: EndpointSeries, places: Sequence[int]) -> Body:
    attempts, failures = endpoint.counts.sums
    rows = [endpoint.counts.row(at) for at in places]
    return {
        "url": url,
        "summary": {"attempts": attempts, "failures": failures},
        "series": {
            "state": [endpoint.state(at) for at in places],
            "attempts": [row[0] for row in rows],
            "failures": [row[1] for row in rows],
            "latency": [_rounded(endpoint.latency(at)) for at in places],
        },
    }


def _with_shares(endpoints: list[Body]) -> list[Body]:
    """Add to each endpoint its share of the attempts of the pool."""
    whole = sum(endpoint["summary"]["attempts"] for endpoint in endpoints)
    for endpoint in endpoints:
        summary = endpoint["summary"]
        summary["share"] = round(summary["attempts"] / whole, 4) if whole else None
    return endpoints


def _summary(sums: Sequence[int]) -> Body:
    """The sums of a tool, or of all tools of a pool."""
    durations = sums[len(TOOL_COUNTS) :]
    return {
        "toolCalls": _calls(sums),
        "toolErrors": sums[_TOOL_ERROR],
        "errors": sums[_ERROR],
        "rejected": sums[_REJECTED],
        "retries": sums[_RETRIES],
        "cacheHits": sums[_HITS],
        "cacheMisses": sums[_MISSES],
        **{name: _rounded(quantile(DURATION_BOUNDS, durations, share)) for name, share in SHARES.items()},
    }


def _calls(row: Sequence[int]) -> int:
    return row[_SUCCESS] + row[_TOOL_ERROR] + row[_ERROR] + row[_REJECTED]


def _quantiles(rows: Sequence[Sequence[int]]) -> dict[str, list[float | None]]:
    """The series of quantiles of these counts of a tool, or of all tools of a pool."""
    durations = [row[len(TOOL_COUNTS) :] for row in rows]
    return {
        name: [_rounded(quantile(DURATION_BOUNDS, row, SHARES[name])) for row in durations] for name in ("p50", "p99")
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
