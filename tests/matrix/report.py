"""docs/reference/compatibility.md: the table of results, and each difference in words."""

from __future__ import annotations

from collections.abc import Sequence

from mcppool.wire.versions import MODERN_VERSIONS
from tests.matrix.baseline import Known, reason_for
from tests.matrix.clients import Client, Seen
from tests.matrix.run import Pair, version
from tests.matrix.servers import Server

HEAD = """\
# Published servers and clients

`make matrix` runs published MCP servers and clients, as their registries have them, through the gateway, and writes
this page. Each client does the same with each server three times: with the bare server, through the gateway with one
replica, and through the gateway with three. It connects, lists tools, prompts and resources, calls tools (with
progress, with wrong arguments, one that fails, one that does not exist), reads resources, gets prompts, disconnects and
connects again. What it saw is compared, word by word.

* **modern** (2026-07-28) or **legacy** (older versions): the client works with the bare server in this era, and sees
  the same through the gateway, with one replica and with three.
* **a number** after it: it sees a difference, which is explained below; the era is then that of the gateway, and a
  second table has the version of each run.
* **bare no**: the client does not connect to the bare server, and sees the same error through the gateway.
* **·**: not run.

A client starts a bare local server (a program on standard streams) itself; through the gateway it uses HTTP. Clients
named *legacy* begin with `initialize`; the others begin as their package does by default, or find out the era.
"""


def render(servers: Sequence[Server], clients: Sequence[Client], pairs: Sequence[Pair], known: Sequence[Known]) -> str:
    """The page."""
    found = {(pair.server, pair.client): pair for pair in pairs}
    notes: dict[str, int] = {}
    rows = []
    for server in servers:
        cells = [_cell(found.get((server.name, client.name)), known, notes) for client in clients]
        rows.append(f"| {server.name} | " + " | ".join(cells) + " |")
    equal = sum(not pair.differences for pair in pairs)
    modern = sum(_era(pair.bare) == "modern" for pair in pairs)
    parts = [
        HEAD,
        f"{len(pairs)} pairs were run, of {len({pair.server for pair in pairs})} servers and "
        f"{len({pair.client for pair in pairs})} clients, {modern} of them in the modern era; {equal} are equal.",
        "",
        "## Result",
        "",
        "| server | " + " | ".join(client.name for client in clients) + " |",
        "|---" * (len(clients) + 1) + "|",
        *rows,
        "",
        "## Differences",
        "",
        *([f"{number}. {note}" for note, number in notes.items()] or ["There are none."]),
        "",
        *_details(pairs, known, notes),
        "## Versions",
        "",
        "| server | package | transport |",
        "|---|---|---|",
        *(f"| {s.name} | {s.package} | {'HTTP' if s.http else 'standard streams'} |" for s in servers),
        "",
        "| client | package |",
        "|---|---|",
        *(f"| {client.name} | {client.package} |" for client in clients),
        "",
    ]
    return "\n".join(parts)


def _era(seen: Seen) -> str:
    """The era in which a client saw a target."""
    agreed = version(seen)
    if agreed is None:
        return "no connection"
    return "modern" if agreed in MODERN_VERSIONS else "legacy"


def _cell(pair: Pair | None, known: Sequence[Known], notes: dict[str, int]) -> str:
    """One cell; new reasons get the next number in `notes`."""
    if pair is None:
        return "·"
    numbers = _numbers(pair, pair.differences, known, notes)
    eras = list(dict.fromkeys(_era(seen) for seen in pair.through.values()))
    if pair.fails_bare and not numbers:
        return "bare no"
    return " ".join(["/".join(eras), *([numbers] if numbers else [])])


def _numbers(pair: Pair, differences: Sequence[str], known: Sequence[Known], notes: dict[str, int]) -> str:
    """The numbers of the reasons for these differences."""
    numbers = set()
    for difference in differences:
        reason = reason_for(pair, difference, known) or f"Not explained: {difference}".replace("\n", " ")
        numbers.add(notes.setdefault(reason, len(notes) + 1))
    return ", ".join(str(number) for number in sorted(numbers))


def _details(pairs: Sequence[Pair], known: Sequence[Known], notes: dict[str, int]) -> list[str]:
    """A table of the pairs that differ: the version that each run agreed to, and the numbers of its differences."""
    rows = []
    for pair in pairs:
        if not pair.differences:
            continue
        cells = [version(pair.bare) or "no connection"]
        for count, seen in pair.through.items():
            own = [difference for difference in pair.differences if difference.startswith(f"{count}: ")]
            numbers = _numbers(pair, own, known, notes) or "equal"
            cells.append(f"{version(seen) or 'no connection'}: {numbers}")
        rows.append(f"| {pair.server} | {pair.client} | " + " | ".join(cells) + " |")
    if not rows:
        return []
    head = ["The version of the protocol in each of the three runs, and the numbers of the differences:", ""]
    return [*head, "| server | client | bare | one replica | three replicas |", "|---|---|---|---|---|", *rows, ""]
