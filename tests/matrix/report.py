"""docs/compatibility.md: the table of what was run, and each difference in words."""

from __future__ import annotations

from collections.abc import Sequence

from tests.matrix.baseline import Known, reason_for
from tests.matrix.clients import Client
from tests.matrix.run import Pair
from tests.matrix.servers import Server

HEAD = """\
# Published servers and clients

`make matrix` runs published MCP servers and clients, as their registries have them, through the gateway, and writes
this page. Each client does the same with each server three times: with the bare server, through the gateway with one
replica, and through the gateway with three. It connects, lists tools, prompts and resources, calls tools (with
progress, with wrong arguments, one that fails, one that does not exist), reads resources, gets prompts, disconnects and
connects again. What it saw is compared, word by word.

* **yes**: the client sees the same, with one replica and with three.
* **a number**: it sees a difference, which is explained below.
* **bare no**: the client does not connect to the bare server either, and sees the same error through the gateway.
* **·**: not run.

A client starts a bare local server (a program on standard streams) itself; through the gateway it uses HTTP.
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
    parts = [
        HEAD,
        f"{len(pairs)} pairs were run, of {len({pair.server for pair in pairs})} servers and "
        f"{len({pair.client for pair in pairs})} clients; {equal} are equal.",
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


def _cell(pair: Pair | None, known: Sequence[Known], notes: dict[str, int]) -> str:
    """One cell; new reasons get the next number in `notes`."""
    if pair is None:
        return "·"
    reasons = []
    for difference in pair.differences:
        reason = reason_for(pair, difference, known) or f"Not explained: {difference}".replace("\n", " ")
        number = notes.setdefault(reason, len(notes) + 1)
        if number not in reasons:
            reasons.append(number)
    if reasons:
        return ", ".join(str(number) for number in sorted(reasons))
    return "bare no" if pair.fails_bare else "yes"
