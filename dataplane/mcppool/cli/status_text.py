"""The status page as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from mcppool.cli.terminal import column_widths, padded, printable
from mcppool.spec.plural import counted

Body = dict[str, Any]

SHOWN: Final = 20
"""Rows of a long table, unless all of them are asked for."""

NO_POOL: Final = (
    "No pool is configured yet. Add [[pools]] with name and endpoints to the file that the gateway follows."
)

BARS: Final = "▁▂▃▄▅▆▇█"
MAX_BARS: Final = 20
"""Characters of the line of ten minutes."""

LITTLE: Final = 0.0095
"""Share below which a decimal is shown."""

_RED, _YELLOW, _GREEN, _FAINT, _BOLD, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
_COLOURS: Final = {
    **dict.fromkeys(("healthy", "available", "closed"), _GREEN),
    **dict.fromkeys(("degraded", "busy", "joining", "draining", "half_open"), _YELLOW),
    **dict.fromkeys(("unhealthy", "failing", "ejected", "unreachable", "hung", "open"), _RED),
}
_BREAKERS: Final = ("closed", "half_open", "open")
_RANK: Final = {_RED: 0, _YELLOW: 1, _GREEN: 2}


class StatusText:
    """Renders a status page. `colour`: with the codes of ANSI terminals; `everything`: also the rest of long tables.

    Text from outside cannot control the terminal: control characters are replaced.
    """

    def __init__(self, *, colour: bool = False, everything: bool = False) -> None:
        self._colour = colour
        self._everything = everything

    def render(self, feed: Body, history: Body | None = None) -> str:
        """The text; `history` is the body of `/history.json`, if the gateway has one."""
        return "\n".join(self._lines(feed, history))

    def _lines(self, feed: Body, history: Body | None) -> Iterator[str]:
        health, now = feed["health"], feed["at"]
        overall = self._painted(printable(health["overall"]))
        yield f"mcppool {printable(feed['version'])}: {overall}   {time_of_day(now)}{_zone(feed)}"
        yield ""
        yield from self._problems(feed, now)
        components = sorted(health["components"].items(), key=lambda item: _rank(item[1]["status"]))
        yield from self._long_table(
            ("COMPONENT", "STATUS", "MESSAGE"),
            [(_words(name), part["status"], part["message"]) for name, part in components],
        )
        if not feed["pools"]:
            yield ""
            yield NO_POOL
        yield from self._part("gateways", ("GATEWAY", "STATE", "CALLS/S", "CONFIGURATION"), _gateways(feed))
        pasts = {pool["name"]: pool for pool in history["pools"]} if history is not None else {}
        covered = history["covered"] if history is not None else 0
        for pool in sorted(feed["pools"], key=lambda pool: _rank(_status(health, pool))):
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
            name = line["name"] if line["name"] is None or line["pool"] is not None else _words(line["name"])
            where = " ".join(printable(part) for part in (line["pool"], name) if part is not None)
            mark = self._painted("●", line["severity"])
            yield f"{mark} {where}: {printable(line['what'])}{self._faint(_since(line['since'], now))}"
        if found:
            yield ""

    def _pool(self, pool: Body, not_ready: str | None, past: Body | None, now: str, covered: float) -> Iterator[str]:
        yield self._bold(f"POOL {printable(pool['name'])}") + f": {', '.join(_facts(pool))}"
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
            since = f"{time_of_day(loss['since'])}, {_lasted(loss['since'], now)}"
            last = f"{_lasted(loss['last'], now)} ago"
            name, endpoint = loss["name"] or "-", loss["endpoint"] or "none"
            return (_words(loss["reason"]), loss["count"], since, last, name, endpoint, loss["detail"])

        head = ("REASON", "CALLS", "SINCE", "LAST", "TOOL OR METHOD", "ENDPOINT", "CAUSE")
        yield from self._part("lost calls", head, [row(loss) for loss in pool.get("lost", ())])

    def _past(self, past: Body, covered: float) -> Iterator[str]:
        """The last ten minutes as clients felt them, a line for each figure."""
        series, summary = past["series"], past["summary"]
        calls = summary["calls"]
        pairs = zip(series["failed"], series["calls"], strict=True)
        shares = [failed / whole if whole else 0.0 for failed, whole in pairs]
        failed = f"{_percent(summary['failed'] / calls if calls else None)} of {counted(calls, 'call')} failed"
        eras = summary["eras"]
        asked = eras["modern"] + eras["legacy"]
        lines = (
            ("calls", series["calls"], f"{calls / covered if covered else 0:.1f} calls/s"),
            ("failed", shares, failed),
            ("p50", series["p50"], f"half within {_duration(summary['p50'])}"),
            ("p99", series["p99"], f"99 % within {_duration(summary['p99'])}"),
        )
        yield self._faint(f"last {_span(covered)}") + (
            f"; {_percent(eras['modern'] / asked)} of the requests come from modern clients" if asked else ""
        )
        for name, values, text in lines:
            yield f"  {name:<6}  {sparkline(values):<{MAX_BARS}}  {text}"

    def _endpoints(self, pool: Body, past: Body | None) -> Iterator[str]:
        series = {line["url"]: line["series"]["attempts"] for line in past["endpoints"]} if past is not None else {}
        endpoints = pool["endpoints"]
        if len(endpoints) > SHOWN:  # problems come first where a table ends early
            endpoints = sorted(endpoints, key=lambda endpoint: _rank(endpoint["state"]))

        def row(endpoint: Body) -> Sequence[object]:
            counts = endpoint["connections"].items()
            return (
                endpoint["url"],
                endpoint["state"],
                f"{endpoint['score']:.2f}",
                _milliseconds(endpoint["latency"]),
                _percent(endpoint["share"]),
                _percent(endpoint.get("expectedShare")),
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
        yield from self._long_table(head, [row(endpoint) for endpoint in endpoints])

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
                _duration(summary["p50"]),
                _duration(summary["p99"]),
                summary["retries"],
                _percent(_share(hits, hits + summary["cacheMisses"])),
                _BREAKERS[breaker(tool)],
                ", ".join(f"{count} {_words(reason)}" for reason, count in summary["reasons"].items()),
            )

        head = ("TOOL", "CALLS", "TEN MINUTES", "FAILED", "P50", "P99", "RETRIES", "CACHED", "BREAKER", "REASONS")
        yield from self._long_table(head, [row(tool) for tool in ordered])

    def _rest(self, pool: Body) -> Iterator[str]:
        cache = pool["cache"]
        yield from self._part("requests", ("ENDED IN", "COUNT"), list(pool["outcomes"].items()))
        yield from self._part("retries", ("AFTER", "COUNT"), list(pool["retries"].items()))
        yield from self._part(
            "breakers",
            ("TOOL", "ENDPOINT", "STATE"),
            [(line["tool"], line["endpoint"], line["state"]) for line in pool["breakers"]],
        )
        if cache is not None and cache["trouble"]:
            yield f"cache {printable(cache['type'])}: {printable(cache['trouble'])}"
        yield from self._part(
            "what adaptive retry has learned",
            ("CALL", "AFTER", "STEP", "HELPED", "USED"),
            [
                (
                    line["name"],
                    line["errorClass"],
                    f"attempt {line['attempt']}" if line["attempt"] else f"waiting up to {_milliseconds(line['wait'])}",
                    _percent(line["rate"]),
                    "yes" if line["used"] else "no",
                )
                for line in pool["learned"] or ()
            ],
        )
        yield from self._part(
            "recent faults and recoveries",
            ("LAST AT", "ENDPOINT", "WHAT", "TIMES", "DETAIL"),
            [
                (time_of_day(event["at"]), event["endpoint"], _words(event["reason"]), event["count"], event["detail"])
                for event in pool["events"]
            ],
        )

    # --- tables and colours --------------------------------------------------------------------------------------

    def _part(self, title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
        """A table under its title; nothing if it is empty."""
        if rows:
            yield ""
            yield title
            yield from self._table(head, rows)

    def _long_table(self, head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
        """A table that may be long, and then ends early."""
        shown = rows if self._everything else rows[:SHOWN]
        if rows:
            yield from self._table(head, shown)
        if len(rows) > len(shown):
            yield self._faint(f"and {len(rows) - len(shown)} more; --all shows them")

    def _table(self, head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
        """Columns as wide as their cells; numbers are aligned to the right."""
        cells = [head, *([printable(str(cell)) for cell in row] for row in rows)]
        widths = column_widths(cells)
        right = [bool(rows) and all(isinstance(row[column], int) for row in rows) for column in range(len(head))]
        for number, row in enumerate(cells):
            aligned = [
                padded(cell, width, right=to_right) for cell, width, to_right in zip(row, widths, right, strict=True)
            ]
            aligned[-1] = aligned[-1].rstrip()
            text = "  ".join(aligned).rstrip() if not self._colour else "  ".join(map(self._painted, aligned))
            yield self._faint(text) if number == 0 else text

    def _painted(self, text: str, word: str | None = None) -> str:
        """The text in the colour of a state, if it is one (or `word` is)."""
        code = _COLOURS.get(word or text.strip()) if self._colour else None
        return text if code is None else f"{code}{text}{_PLAIN}"

    def _faint(self, text: str) -> str:
        return f"{_FAINT}{text}{_PLAIN}" if self._colour and text else text

    def _bold(self, text: str) -> str:
        return f"{_BOLD}{text}{_PLAIN}" if self._colour else text


def _rank(state: str) -> int:
    """The place of a state where problems come first."""
    return _RANK[_COLOURS.get(state, _RED)]


def _status(health: Body, pool: Body) -> str:
    """The status of a pool; a gateway that does not say is looked at before those that are well."""
    status: str = health["components"].get(f"pool {pool['name']}", {}).get("status", "degraded")
    return status


def sparkline(values: Sequence[float | None]) -> str:
    """The values as a line of bars, several values to a character; a blank where there is none."""
    if not values:
        return ""
    each = -(-len(values) // MAX_BARS)
    groups = [[value for value in values[at : at + each] if value is not None] for at in range(0, len(values), each)]
    means = [sum(group) / len(group) if group else None for group in groups]
    top = max((mean for mean in means if mean is not None), default=0.0) or 1.0
    bars = (" " if mean is None else BARS[min(len(BARS) - 1, int(mean / top * len(BARS)))] for mean in means)
    return "".join(bars)


def time_of_day(at: str) -> str:
    """The time of day of an RFC 3339 moment, with its zone: UTC."""
    return printable(at)[11:19] + " UTC"


def _facts(pool: Body) -> list[str]:
    cache = pool["cache"]
    return [
        f"{pool['callsPerSecond']:.1f} calls/s",
        counted(pool["sessions"], "session"),
        f"{pool['waiting']} waiting",
        counted(pool["catalogTools"], "tool"),
        "cache off" if cache is None else f"cache {_percent(cache['hitRate'])} of {cache['hits'] + cache['misses']}",
        f"balanced by {_words(pool['strategy'])}",
        *([f"authentication {_words(pool['authentication'])}"] if "authentication" in pool else []),
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
    return "" if at is None else f"  since {time_of_day(at)}, {_lasted(at, now)}"


def _span(covered: float) -> str:
    """The time that the history covers: `34 s`, `10 minutes`."""
    return f"{round(covered)} s" if covered < 90 else f"{round(covered / 60)} minutes"


def _lasted(since: str, now: str) -> str:
    """The time between two moments, roughly."""
    seconds = max(0.0, (datetime.fromisoformat(now) - datetime.fromisoformat(since)).total_seconds())
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (129600, 3600, "h")):
        if seconds < limit:
            return f"{round(seconds / size)} {unit}"
    return f"{round(seconds / 86400)} days"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _percent(share: float | None) -> str:
    """As on the status page: little is not shown as nothing."""
    if share is None:
        return "-"
    return f"{share:.1%}" if 0 < share < LITTLE else f"{share:.0%}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.1f} s" if seconds >= 1 else _milliseconds(seconds)


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"
