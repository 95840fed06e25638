"""`make bench-tracing`: CPU time per call of gateways that trace a share of their calls, beside one that traces none.

Whole gateways are loaded in turns, and ratios are taken round by round, so that other load on the machine distorts both
sides of a ratio alike. The collector is a process of its own on the other core, which takes everything and reads
nothing. The CPU time of the gateway includes its thread that encodes and sends spans.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

from bench import machine, report, targets
from bench.measure import Round, measure
from bench.processes import Failed
from bench.scenes import Scene
from bench.targets import Bench

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


def measure_all(options: argparse.Namespace) -> dict[str, list[Round]]:
    load_core, target_core = machine.cores()
    with tempfile.TemporaryDirectory(prefix="mcppool-bench-") as directory, ExitStack() as stack:
        bench = Bench(Path(directory), load_core, target_core, stack)
        targets.start_upstream(bench)
        url = start_collector(bench)
        running = [targets.mcppool(bench, name, text.replace("{url}", url)) for name, text in KINDS.items()]
        scene = Scene("tracing", "traced calls", clients=options.clients)
        for target in running:
            measure(bench, target, scene, 1)
        rounds: dict[str, list[Round]] = {target.name: [] for target in running}
        for number in range(options.rounds):
            for target in running[:: 1 if number % 2 else -1]:
                rounds[target.name].append(measure(bench, target, scene, options.seconds))
            costs = ", ".join(f"{name} {each[-1].cpu * 1e6:.1f}" for name, each in rounds.items())
            print(f"round {number + 1} of {options.rounds}: {costs} µs/call", file=sys.stderr, flush=True)
    return rounds


def ratios(rounds: dict[str, list[Round]], name: str) -> list[float]:
    return [one.cpu / other.cpu for one, other in zip(rounds[name], rounds["off"], strict=True)]


def table(options: argparse.Namespace, rounds: dict[str, list[Round]]) -> str:
    rows = []
    for name, each in rounds.items():
        found = ratios(rounds, name)
        shown = report.shown([median(found), min(found), max(found)]) if name != "off" else ""
        aim = f"≤ {AIM}" if name == "on, 1 %" else ""
        cost = f"{report.middle(each, 'cpu') * 1e6:.1f}"
        rows.append([name, cost, shown, aim, report.noise(report.middle(each, "others"))])
    title = (
        f"**modern era, {report.counted(options.clients, 'client')}** ({options.rounds} rounds of {options.seconds} s)"
    )
    return f"{title}\n\n" + report.table(["`tracing`", "CPU µs/call", "÷ off", "aim", "others"], rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=32, help="connections (default 32)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=2, help="length of a round (default 2)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reference/benchmarks.md")
    parser.add_argument("--collector", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every started process is ended
    if options.collector:
        serve_collector()
    try:
        rounds = measure_all(options)
        text = f"{report.versions_line(machine.versions())}\n\n{table(options, rounds)}"
        print(text)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        report.save(
            "tracing",
            {"when": when, "rounds": {name: [asdict(each) for each in some] for name, some in rounds.items()}},
        )
        if options.write:
            report.write_section("tracing", text)
    except Failed as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
