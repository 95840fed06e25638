"""`make bench`: calls per second, latency and CPU time per call of the gateway beside its peers, in one run.

Every target is started once and stays up; one at a time is loaded, in turns (A, B, C, A, B, C …), so that other load on
the machine affects all alike. Results are medians; ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import client, machine, report, targets
from bench.measure import Load, Round, measure
from bench.processes import Failed
from bench.report import Footprint, Report, Scene
from bench.targets import Bench, Target


def run(options: argparse.Namespace) -> Report:
    load_core, target_core = machine.cores()
    versions = machine.versions()
    with tempfile.TemporaryDirectory(prefix="mcppool-bench-") as directory, ExitStack() as stack:
        bench = Bench(Path(directory), load_core, target_core, stack)
        targets.start_upstream(bench)
        running = [targets.TARGETS[name](bench) for name in options.targets]
        for target in running:
            for era in options.eras:
                client.check(target.name, target.url, era)
            say(f"{target.name}: checked")
        idle = {t.name: t.process.resident_mb() for t in running if t.process}
        scenes = [scene(bench, running, era, n, options) for era in options.eras for n in options.clients]
        footprints = {
            t.name: Footprint(t.start_seconds, idle[t.name], t.process.resident_mb()) for t in running if t.process
        }
    return Report(versions, scenes, footprints)


def scene(bench: Bench, running: Sequence[Target], era: str, clients: int, options: argparse.Namespace) -> Scene:
    """A round of one second each to warm up, not counted; then the rounds, in turns."""
    opened = {target.name: sessions(bench, target, era, clients) for target in running}
    for target in running:
        measure(bench, target, Load(era, clients, 1, opened[target.name]))
    rounds: dict[str, list[Round]] = {target.name: [] for target in running}
    for number in range(options.rounds):
        for target in running:
            load = Load(era, clients, options.seconds, opened[target.name])
            rounds[target.name].append(measure(bench, target, load))
        rates = ", ".join(f"{name} {each[-1].rate:,.0f}" for name, each in rounds.items())
        say(f"{era}, {clients} clients, round {number + 1} of {options.rounds}: {rates} calls/s")
    return Scene(era, clients, options.seconds, rounds)


def sessions(bench: Bench, target: Target, era: str, clients: int) -> Path | None:
    """A file with one session id per client, for the era that has sessions."""
    if era != "legacy":
        return None
    file = bench.directory / f"sessions-{target.name}-{clients}"
    file.write_text("\n".join(client.sessions(target.name, target.url, clients)) + "\n")
    return file


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def choices(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in allowed]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(allowed)}")
        return chosen

    return parse


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(targets.TARGETS)
    parser.add_argument("--targets", type=choices(names), default=names, help=f"some of {','.join(names)}")
    parser.add_argument("--clients", type=numbers, default=[32], help="connections, e.g. 1,32,256 (default 32)")
    parser.add_argument("--eras", type=choices(client.ERAS), default=["modern"], help="modern,legacy (default modern)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="length of a round (default 5)")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 2 s")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reference/benchmarks.md")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 3, 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every started process is ended
    try:
        result = run(options)
        text = result.markdown()
        print(text)
        say(f"all rounds: {report.save('throughput', result.json())}")
        if options.write:
            if result.noisy():
                raise Failed("not written: other processes took more than a twentieth of the cores")
            report.write_section("throughput", text)
    except Failed as failure:
        say(f"bench: {failure}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
