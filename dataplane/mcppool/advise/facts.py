"""The facts about one pool that rules of advice read: its settings, and the figures of the last ten minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mcppool.spec.sections.tools import has_own_key
from mcppool.spec.values import parse_duration

Body = Mapping[str, Any]

OTHER: Final = "other"
"""The row of tools without a row of their own: no key of the configuration concerns it."""


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """One tool. Times are seconds; p50, p95 and p99 are None without calls.

    `annotation` is the server's: `read-only`, `idempotent` or empty. `repeatable` and `cached` are policy.
    The rest is about sampled calls: `repeated` had the arguments of an earlier one, and `seconds` is the time of these;
    `same` and `different` count their results, `other_session` those of `same` and `different` that came from another
    session than the earlier call. `in_session` counts the repeated calls in a session of the server.
    """

    name: str
    calls: int = 0
    retries: int = 0
    hits: int = 0
    misses: int = 0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)
    annotation: str = ""
    repeatable: bool = False
    cached: bool = False
    sampled: int = 0
    repeated: int = 0
    seconds: float = 0.0
    same: int = 0
    different: int = 0
    other_session: int = 0
    in_session: int = 0


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """One endpoint; `latency` in seconds is None while it is unknown."""

    url: str
    available: bool = True
    attempts: int = 0
    latency: float | None = None


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """One pool. `covered` is the number of seconds that the figures cover; `settings` are values by path, as in a file.

    For each slot of ten seconds: `in_flight` and `waiting` are numbers of calls at its end, `peaks` the largest number
    of calls in flight, `medians` the median time of a call in seconds (None without calls). `budget_empty` counts
    failed calls that the retry budget did not let repeat, and `server_sessions` tells that its servers give out session
    ids.
    """

    name: str
    covered: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[ToolFacts, ...] = ()
    endpoints: tuple[EndpointFacts, ...] = ()
    calls: int = 0
    failed: int = 0
    retries: int = 0
    in_flight: tuple[int, ...] = ()
    peaks: tuple[int, ...] = ()
    medians: tuple[float | None, ...] = ()
    waiting: tuple[int, ...] = ()
    budget_empty: int = 0
    sessions: int = 0
    server_sessions: bool = False

    def number(self, path: str) -> float | None:
        """A setting that is a number; None if it is not set."""
        value = self.settings.get(path)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def seconds(self, path: str) -> float | None:
        """A setting that is a duration; None if it is not set, or a word."""
        value = self.settings.get(path)
        if not isinstance(value, str):
            return None
        try:
            return parse_duration(value)
        except ValueError:
            return None

    @property
    def tools_with_keys(self) -> tuple[ToolFacts, ...]:
        """The tools that advice can be about: a key names each of them, and no other."""
        return tuple(tool for tool in self.tools if has_own_key(tool.name))

    @property
    def peak(self) -> int:
        """The largest number of calls in flight."""
        return max((*self.in_flight, *self.peaks), default=0)

    def usual(self, values: Sequence[int], share: float) -> int:
        """The value that this share of the slots does not exceed; 0 without slots."""
        ordered = sorted(values)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0


def facts_of(settings: Body, status: Body, history: Body, workload: Body) -> list[PoolFacts]:
    """The facts about each pool, from the pages of the admin port."""
    chosen = settings.get("pools", {})
    past = {pool["name"]: pool for pool in history["pools"]}
    return [
        _pool(
            pool, chosen.get(pool["name"], {}), past.get(pool["name"]), history["covered"], workload.get(pool["name"])
        )
        for pool in status["pools"]
    ]


def _pool(status: Body, settings: Body, past: Body | None, covered: float, seen: Body | None) -> PoolFacts:
    workload = seen or {}
    summary = past["summary"] if past is not None else {}
    series = past["series"] if past is not None else {}
    attempts = {each["url"]: each["summary"]["attempts"] for each in past["endpoints"]} if past is not None else {}
    tools = {each["name"]: each["summary"] for each in past["tools"]} if past is not None else {}
    sampled = workload.get("tools", {})
    return PoolFacts(
        name=status["name"],
        covered=covered,
        settings={path: setting["value"] for path, setting in settings.items()},
        tools=tuple(
            _tool(name, tools.get(name, {}), sampled.get(name, {}))
            for name in sorted(tools.keys() | sampled.keys())
            if name != OTHER
        ),
        endpoints=tuple(
            EndpointFacts(
                each["url"], each["state"] in ("available", "busy"), attempts.get(each["url"], 0), each["latency"]
            )
            for each in status["endpoints"]
            if each["state"] != "draining"
        ),
        calls=summary.get("calls", 0),
        failed=summary.get("failed", 0),
        retries=summary.get("retries", 0),
        in_flight=tuple(series.get("inFlight", ())),
        peaks=tuple(series.get("peakInFlight", ())),
        medians=tuple(series.get("p50", ())),
        waiting=tuple(series.get("waiting", ())),
        budget_empty=summary.get("budgetEmpty", 0),
        sessions=status["sessions"],
        server_sessions=workload.get("serverSessions", False),
    )


def _tool(name: str, past: Body, sampled: Body) -> ToolFacts:
    return ToolFacts(
        name,
        calls=past.get("toolCalls", 0),
        retries=past.get("retries", 0),
        hits=past.get("cacheHits", 0),
        misses=past.get("cacheMisses", 0),
        p50=past.get("p50"),
        p95=past.get("p95"),
        p99=past.get("p99"),
        reasons=past.get("reasons", {}),
        annotation=sampled.get("annotation", ""),
        repeatable=sampled.get("repeatable", False),
        cached=sampled.get("cached", False),
        sampled=sampled.get("sampled", 0),
        repeated=sampled.get("repeated", 0),
        seconds=sampled.get("seconds", 0.0),
        same=sampled.get("same", 0),
        different=sampled.get("different", 0),
        other_session=sampled.get("otherSession", 0),
        in_session=sampled.get("inSession", 0),
    )
