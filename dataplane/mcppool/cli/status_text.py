"""The status page as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from mcppool.cli.status_tables import SHOWN, StatusTables, rank
from mcppool.cli.status_words import (
    MAX_BARS,
    duration,
    lasted,
    milliseconds,
    percent,
    share,
    span,
    sparkline,
    time_of_day,
    words,
)
from mcppool.cli.terminal import printable
from mcppool.spec.plural import counted

Body = dict[str, Any]

NO_POOL: Final = (
    "No pool is configured yet. Add [[pools]] with name and endpoints to the file that the gateway follows."
)

_BREAKERS: Final = ("closed", "half_open", "open")


class StatusText:
    """Renders a status page. `colour`: with the codes of ANSI terminals; `everything`: also the rest of long tables.

    Text from outside cannot control the terminal: control characters are replaced.
    """

    def __init__(self, *, colour: bool = False, everything: bool = False) -> None:
        self._tables = StatusTables(colour=colour, everything=everything)

    def render(self, feed: Body, history: Body | None = None) -> str:
        """The text; `history` is the body of `/history.json`, if the gateway has one."""
        return "\n".join(self._lines(feed, history))

    def _lines(self, feed: Body, history: Body | None) -> Iterator[str]:
        health, now = feed["health"], feed["at"]
        overall = self._tables.painted(printable(health["overall"]))
        yield f"mcppool {printable(feed['version'])}: {overall}   {time_of_day(now)}{_zone(feed)}"
        yield ""
        yield from self._problems(feed, now)
        components = sorted(health["components"].items(), key=lambda item: rank(item[1]["status"]))
        yield from self._tables.long_table(
            ("COMPONENT", "STATUS", "MESSAGE"),
            [(words(name), part["status"], part["message"]) for name, part in components],
        )
        if not feed["pools"]:
            yield ""
            yield NO_POOL
        yield from self._tables.part("gateways", ("GATEWAY", "STATE", "CALLS/S", "CONFIGURATION"), _gateways(feed))
        pasts = {pool["name"]: pool for pool in history["pools"]} if history is not None else {}
        covered = history["covered"] if history is not None else 0
        for pool in sorted(feed["pools"], key=lambda pool: rank(_status(health, pool))):
            yield ""
            yield from self._pool(pool, feed["notReady"].get(pool["name"]), pasts.get(pool["name"]), now, covered)
        rejected = feed["config"]["rejected"]
        if rejected is not None:
            yield ""
            at = time_of_day(rejected["at"])
            yield f"The newest configuration was refused at {at}; the one before it stays in force:"
            yield from (f"  {printable(problem)}" for problem in rejected["problems"])

    def _problems(self, feed: Body, now: str) -> Iterator[str]:
        found = feed.get("problems", ())
        for line in found:
            name = line["name"] if line["name"] is None or line["pool"] is not None else words(line["name"])
            where = " ".join(printable(part) for part in (line["pool"], name) if part is not None)
            mark = self._tables.painted("●", line["severity"])
            yield f"{mark} {where}: {printable(line['what'])}{self._tables.faint(_since(line['since'], now))}"
        if found:
            yield ""

    def _pool(self, pool: Body, not_ready: str | None, past: Body | None, now: str, covered: float) -> Iterator[str]:
        yield self._tables.bold(f"POOL {printable(pool['name'])}") + f": {', '.join(_facts(pool))}"
        if not_ready is not None:
            yield f"not ready: {printable(not_ready)}"
        if pool["panic"]:
            yield "few endpoints are available, so all reachable ones take calls"
        yield from map(printable, pool.get("warnings", ()))
        if past is not None:
            yield from self._past(past, covered)
        yield from self._endpoints(pool, past)
        if past is not None:
            yield from self._tools(past)
        yield from self._lost(pool, now)
        yield from self._rest(pool)

    def _lost(self, pool: Body, now: str) -> Iterator[str]:
        def row(loss: Body) -> Sequence[object]:
            since = f"{time_of_day(loss['since'])}, {lasted(loss['since'], now)}"
            last = f"{lasted(loss['last'], now)} ago"
            name, endpoint = loss["name"] or "-", loss["endpoint"] or "none"
            return (words(loss["reason"]), loss["count"], since, last, name, endpoint, loss["detail"])

        head = ("REASON", "CALLS", "SINCE", "LAST", "TOOL OR METHOD", "ENDPOINT", "CAUSE")
        yield from self._tables.part("lost calls", head, [row(loss) for loss in pool.get("lost", ())])

    def _past(self, past: Body, covered: float) -> Iterator[str]:
        """The last ten minutes as clients felt them, a line for each figure."""
        series, summary = past["series"], past["summary"]
        calls = summary["calls"]
        pairs = zip(series["failed"], series["calls"], strict=True)
        shares = [failed / whole if whole else 0.0 for failed, whole in pairs]
        failed = f"{percent(summary['failed'] / calls if calls else None)} of {counted(calls, 'call')} failed"
        eras = summary["eras"]
        asked = eras["modern"] + eras["legacy"]
        lines = (
            ("calls", series["calls"], f"{calls / covered if covered else 0:.1f} calls/s"),
            ("failed", shares, failed),
            ("p50", series["p50"], f"half within {duration(summary['p50'])}"),
            ("p99", series["p99"], f"99 % within {duration(summary['p99'])}"),
        )
        yield self._tables.faint(f"last {span(covered)}") + (
            f"; {percent(eras['modern'] / asked)} of the requests come from modern clients" if asked else ""
        )
        for name, values, text in lines:
            yield f"  {name:<6}  {sparkline(values):<{MAX_BARS}}  {text}"

    def _endpoints(self, pool: Body, past: Body | None) -> Iterator[str]:
        series = {line["url"]: line["series"]["attempts"] for line in past["endpoints"]} if past is not None else {}
        endpoints = pool["endpoints"]
        if len(endpoints) > SHOWN:  # problems come first where a table ends early
            endpoints = sorted(endpoints, key=lambda endpoint: rank(endpoint["state"]))

        def row(endpoint: Body) -> Sequence[object]:
            counts = endpoint["connections"].items()
            return (
                endpoint["url"],
                endpoint["state"],
                f"{endpoint['score']:.2f}",
                milliseconds(endpoint["latency"]),
                percent(endpoint["share"]),
                percent(endpoint.get("expectedShare")),
                *([sparkline(series.get(endpoint["url"], ()))] if series else []),
                endpoint["inFlight"],
                ", ".join(f"{count} {state}" for state, count in counts if count) or "none",
                endpoint["attempts"],
                endpoint["failures"],
                endpoint["reason"] or "",
            )

        past_head = ["TEN MINUTES"] if series else []
        first, last = ("ENDPOINT", "STATE", "SCORE", "LATENCY", "SHARE", "EXPECTED"), ("IN FLIGHT", "CONNECTIONS")
        head = (*first, *past_head, *last, "CALLS", "FAILED", "WHY")
        yield from self._tables.long_table(head, [row(endpoint) for endpoint in endpoints])

    def _tools(self, past: Body) -> Iterator[str]:
        def failed(tool: Body) -> int:
            return int(tool["summary"]["errors"] + tool["summary"]["rejected"])

        def breaker(tool: Body) -> int:
            return int((tool["series"]["breaker"] or [0])[-1])

        ordered = sorted(
            past["tools"], key=lambda tool: (-breaker(tool), -failed(tool), -tool["summary"]["toolCalls"], tool["name"])
        )
        if ordered:
            yield ""
            yield "tools"

        def row(tool: Body) -> Sequence[object]:
            summary = tool["summary"]
            hits = summary["cacheHits"]
            return (
                tool["name"],
                summary["toolCalls"],
                sparkline(tool["series"]["calls"]),
                failed(tool),
                duration(summary["p50"]),
                duration(summary["p99"]),
                summary["retries"],
                percent(share(hits, hits + summary["cacheMisses"])),
                _BREAKERS[breaker(tool)],
                ", ".join(f"{count} {words(reason)}" for reason, count in summary["reasons"].items()),
            )

        head = ("TOOL", "CALLS", "TEN MINUTES", "FAILED", "P50", "P99", "RETRIES", "CACHED", "BREAKER", "REASONS")
        yield from self._tables.long_table(head, [row(tool) for tool in ordered])

    def _rest(self, pool: Body) -> Iterator[str]:
        cache = pool["cache"]
        yield from self._tables.part("requests", ("ENDED IN", "COUNT"), list(pool["outcomes"].items()))
        yield from self._tables.part("retries", ("AFTER", "COUNT"), list(pool["retries"].items()))
        yield from self._tables.part(
            "breakers",
            ("TOOL", "ENDPOINT", "STATE"),
            [(line["tool"], line["endpoint"], line["state"]) for line in pool["breakers"]],
        )
        if cache is not None and cache["trouble"]:
            yield f"cache {printable(cache['type'])}: {printable(cache['trouble'])}"
        yield from self._tables.part(
            "what adaptive retry has learned",
            ("CALL", "AFTER", "STEP", "HELPED", "USED"),
            [
                (
                    line["name"],
                    line["errorClass"],
                    f"attempt {line['attempt']}" if line["attempt"] else f"waiting up to {milliseconds(line['wait'])}",
                    percent(line["rate"]),
                    "yes" if line["used"] else "no",
                )
                for line in pool["learned"] or ()
            ],
        )
        yield from self._tables.part(
            "recent faults and recoveries",
            ("LAST AT", "ENDPOINT", "WHAT", "TIMES", "DETAIL"),
            [
                (time_of_day(event["at"]), event["endpoint"], words(event["reason"]), event["count"], event["detail"])
                for event in pool["events"]
            ],
        )


def _status(health: Body, pool: Body) -> str:
    """The status of a pool; a gateway that does not say is looked at before those that are well."""
    status: str = health["components"].get(f"pool {pool['name']}", {}).get("status", "degraded")
    return status


def _facts(pool: Body) -> list[str]:
    cache = pool["cache"]
    return [
        f"{pool['callsPerSecond']:.1f} calls/s",
        counted(pool["sessions"], "session"),
        f"{pool['waiting']} waiting",
        counted(pool["catalogTools"], "tool"),
        "cache off" if cache is None else f"cache {percent(cache['hitRate'])} of {cache['hits'] + cache['misses']}",
        f"balanced by {words(pool['strategy'])}",
        *([f"authentication {words(pool['authentication'])}"] if "authentication" in pool else []),
    ]


def _gateways(feed: Body) -> list[Sequence[object]]:
    """The gateways that the feed shows together; none if it is one."""
    lines = feed.get("gateways", ())
    return (
        []
        if len(lines) < 2
        else [
            (line["address"], line["overall"], f"{line['callsPerSecond']:.1f}", line["hash"] or "-")
            if line["answers"]
            else (line["address"], f"silent: {line['why']}", "-", "-")
            for line in lines
        ]
    )


def _zone(feed: Body) -> str:
    return f"   zone {printable(feed['zone'])}" if feed.get("zone") else ""


def _since(at: str | None, now: str) -> str:
    return "" if at is None else f"  since {time_of_day(at)}, {lasted(at, now)}"
