"""`make bench-tracing`: CPU time per call of gateways that trace a share of their calls, beside one that traces none.

Each gateway is loaded at the same time as one without tracing, on the same core (`bench/pairs.py`), so that other load
on the machine distorts both sides of a ratio alike. The collector is a process of its own on the other core; it takes
everything and reads nothing. The CPU time of the gateway includes its thread that encodes and sends spans.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench import command, machine, pairs, report, targets
from bench.command import Result
from bench.pairs import Pairs, in_pairs
from bench.scenes import Scene
from bench.targets import Bench
from bench.turns import cost, with_upstream

AIM = 1.05
"""Upper bound on the ratio of a gateway that traces 1 % of its calls to one without tracing."""
SECTION = """
[pools.tracing]
enabled = true
endpoint = "{url}"
sample_ratio = {ratio}
metrics = {metrics}
"""
KINDS = {
    "off": "",
    "off, again": "",
    "on, 0 %": SECTION.replace("{ratio}", "0.0").replace("{metrics}", "true"),
    "on, 1 %": SECTION.replace("{ratio}", "0.01").replace("{metrics}", "true"),
    "on, 100 %": SECTION.replace("{ratio}", "1.0").replace("{metrics}", "true"),
}
"""Name of a row → section of the pool. The second gateway without tracing shows the noise."""


class _Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def serve_collector() -> None:
    """Print the port of a collector, and serve it until the process is ended."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    print(server.server_port, flush=True)
    server.serve_forever()


def start_collector(bench: Bench) -> str:
    argv = [sys.executable, "-m", "bench.tracing", "--collector"]
    process = bench.run("collector", argv, bench.load_core, subprocess.PIPE)
    assert process.child.stdout is not None
    return f"http://127.0.0.1:{int(process.child.stdout.readline())}"


def measure_all(options: argparse.Namespace) -> Pairs:
    with with_upstream() as bench:
        url = start_collector(bench)
        off, *others = (targets.mcppool(bench, name, text.replace("{url}", url)) for name, text in KINDS.items())
        return in_pairs(bench, off, others, Scene("tracing", "traced calls", clients=options.clients), options)


def table(measured: Pairs) -> str:
    rows = []
    for name, pair in measured.items():
        aim = f"≤ {AIM}" if name == "on, 1 %" else ""
        noise = report.noise(report.middle(pair.rounds, "others"))
        rows.append([name, cost(pair.rounds), cost(pair.first), pairs.shown(pair), aim, noise])
    return report.table(["`tracing`", "CPU µs/call", "off, at the same time", "÷ off", "aim", "others"], rows)


def measured(options: argparse.Namespace) -> Result:
    found = measure_all(options)
    clients = report.counted(options.clients, "client")
    rounds = f"{options.rounds} rounds of {options.seconds} s; median and middle half of the ratios"
    title = f"**modern era, {clients}** ({rounds})"
    text = f"{report.versions_line(machine.versions())}\n\n{title}\n\n{table(found)}"
    others = max(report.middle(pair.rounds, "others") for pair in found.values())
    return Result(text, {"rounds": pairs.figures(found)}, others)


def main() -> int:
    parser = command.parser(__doc__)
    command.add_rounds(parser, 25, 1)
    parser.add_argument("--clients", type=int, default=32, help="connections (default 32)")
    parser.add_argument("--collector", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.collector:
        serve_collector()
    return command.run("tracing", options, lambda: measured(options))


if __name__ == "__main__":
    sys.exit(main())
