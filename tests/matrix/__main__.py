"""`make matrix`: runs the pairs, writes docs/reference/compatibility.md, and fails if a difference is not in the
baseline.

Results are kept in `.cache/matrix/results`, a file for each server, so that `--servers` and `--clients` can run a part
again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
import time
from collections.abc import Sequence

from tests.matrix.baseline import read_baseline, surprises
from tests.matrix.clients import CLIENTS, Client
from tests.matrix.report import render
from tests.matrix.run import Pair, run
from tests.matrix.servers import MATRIX, SERVERS, Server
from tests.requirements import ROOT

RESULTS = MATRIX / "results"
PAGE = ROOT / "docs/reference/compatibility.md"


def main() -> int:
    """Exit status 1 where there is a surprise."""
    options = _options()
    started = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # started processes end with this program
    clients = [client for client in CLIENTS if client.name in options.clients and _there(client)]
    servers = [server for server in SERVERS if server.name in options.servers and _there(server)]
    if not options.render:
        for server in servers:
            _run(server, clients, started)
    pairs = [pair for server in SERVERS for pair in _load(server)]
    known = read_baseline()
    if not options.no_page:
        PAGE.write_text(render(SERVERS, CLIENTS, pairs, known))
    wrong = surprises(pairs, known)
    for line in wrong:
        print(f"matrix: {line}")
    seconds = time.monotonic() - started
    print(f"matrix: {len(pairs)} pairs, {len(wrong)} surprises, {seconds:.0f} s")
    return 1 if wrong else 0


def _options() -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return text.split(",")

    parser = argparse.ArgumentParser(prog="make matrix", description=__doc__)
    parser.add_argument("--servers", type=names, default=[server.name for server in SERVERS], help="names, with commas")
    parser.add_argument("--clients", type=names, default=[client.name for client in CLIENTS], help="names, with commas")
    parser.add_argument("--render", action="store_true", help="write the page from what was run before")
    parser.add_argument("--no-page", action="store_true", help="run only, for a later --render")
    options = parser.parse_args()
    for asked, table in ((options.servers, SERVERS), (options.clients, CLIENTS)):
        there = [entry.name for entry in table]
        for name in asked:
            if name not in there:
                parser.error(f"{name!r} is not one of {', '.join(there)}")
    return options


def _there(entry: Server | Client) -> bool:
    """Whether its requirements are installed; prints the missing ones."""
    if entry.missing is not None:
        print(f"matrix: {entry.name} is left out: {entry.missing} is missing; `make matrix-install` installs it")
    return entry.missing is None


def _run(server: Server, clients: Sequence[Client], started: float) -> None:
    """Run the pairs of a server, and keep each as soon as it was run."""
    for pair in run(server, clients):
        _save(server, pair)
        count = len(pair.differences)
        what = f"{count} differences" if count else "bare no" if pair.fails_bare else "yes"
        print(f"{time.monotonic() - started:6.0f} s  {pair.server:26} {pair.client:26} {what}", flush=True)


def _save(server: Server, new: Pair) -> None:
    """Keep a new pair of a server beside those that were run before."""
    pairs = [pair for pair in _load(server) if pair.client != new.client] + [new]
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps([dataclasses.asdict(pair) for pair in pairs], ensure_ascii=False)
    (RESULTS / f"{server.name}.json").write_text(text)


def _load(server: Server) -> list[Pair]:
    file = RESULTS / f"{server.name}.json"
    if not file.exists():
        return []
    pairs = [Pair(**entry) for entry in json.loads(file.read_text())]
    names = {client.name for client in CLIENTS}
    for pair in pairs:
        pair.through = {int(count): seen for count, seen in pair.through.items()}
    return [pair for pair in pairs if pair.client in names]


if __name__ == "__main__":
    sys.exit(main())
