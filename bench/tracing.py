"""`make bench-tracing`: CPU time per call of gateways that trace a share of their calls, beside one that traces none.

Whole gateways are loaded in turns, and ratios are taken round by round, so that other load on the machine distorts both
sides of a ratio alike. The collector is a process of its own on the other core, which takes everything and reads
nothing. The CPU time of the gateway includes its thread that encodes and sends spans.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench import command, machine, report, targets, turns
from bench.command import Result
from bench.scenes import Scene
from bench.targets import Bench
from bench.turns import Rounds, in_turns, with_upstream

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


def measure_all(options: argparse.Namespace) -> Rounds:
    with with_upstream() as bench:
        url = start_collector(bench)
        running = [targets.mcppool(bench, name, text.replace("{url}", url)) for name, text in KINDS.items()]
        return in_turns(bench, running, Scene("tracing", "traced calls", clients=options.clients), options)


def table(rounds: Rounds) -> str:
    rows = []
    for name, each in rounds.items():
        shown = turns.ratio(rounds, name, "off") if name != "off" else ""
        aim = f"≤ {AIM}" if name == "on, 1 %" else ""
        rows.append([name, turns.cost(each), shown, aim, report.noise(report.middle(each, "others"))])
    return report.table(["`tracing`", "CPU µs/call", "÷ off", "aim", "others"], rows)


def measured(options: argparse.Namespace) -> Result:
    rounds = measure_all(options)
    text = f"{report.versions_line(machine.versions())}\n\n{turns.title(options)}{table(rounds)}"
    return Result(text, {"rounds": turns.figures(rounds)}, turns.others(rounds))


def main() -> int:
    parser = command.parser(__doc__)
    command.add_rounds(parser, 15)
    parser.add_argument("--clients", type=int, default=32, help="connections (default 32)")
    parser.add_argument("--collector", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.collector:
        serve_collector()
    return command.run("tracing", options, lambda: measured(options))


if __name__ == "__main__":
    sys.exit(main())
