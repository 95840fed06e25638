"""`make bench`: calls per second, latency and CPU time per call of the gateway beside its peers, in one run.

Every target is started once and stays up; one at a time is loaded, in turns, with all scenes (`bench/scenes.py`), so
that other load on the machine affects all alike. Results are medians; ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import client, command, difference, machine, report, targets
from bench.command import Result, say
from bench.measure import Round, measure
from bench.policies import every_policy
from bench.report import Footprint, Measured, Report
from bench.scenes import QUICK, SCENES, Scene, named
from bench.targets import Bench, Target

Rounds = dict[str, dict[str, list[Round]]]
"""By scene and target."""


def run(options: argparse.Namespace) -> Report:
    load_core, target_core = machine.cores()
    versions = machine.versions()
    with tempfile.TemporaryDirectory(prefix="mcppool-bench-") as directory, ExitStack() as stack:
        bench = Bench(Path(directory), load_core, target_core, stack)
        targets.start_upstream(bench)
        running = [targets.TARGETS[name](bench) for name in options.targets]
        for target in running:
            for era in sorted({scene.era for scene in options.scenes}):
                client.check(target.name, target.url, era)
            say(f"{target.name}: checked")
        guarded = {}
        if any(scene.policies for scene in options.scenes):
            guarded = {t.name: every_policy(bench, t.name, t.command) for t in running if t.admin}
        idle = {t.name: t.process.resident_mb() for t in running if t.process}
        rounds = measure_all(bench, running, guarded, options)
        measured = [Measured(scene, options.seconds, rounds[scene.name]) for scene in options.scenes]
        footprints = {
            t.name: Footprint(t.start_seconds, idle[t.name], t.process.resident_mb()) for t in running if t.process
        }
    return Report(versions, measured, footprints)


def measure_all(
    bench: Bench, running: Sequence[Target], guarded: Mapping[str, Target], options: argparse.Namespace
) -> Rounds:
    """A second of each scene at each target to warm up, not counted; then the rounds. In each round, a target has all
    scenes in turn, so that scenes which are compared with each other follow shortly upon each other. `guarded` are the
    targets with every policy on, by the names of those without."""
    opened = {
        (target.name, scene.name): sessions(bench, target, scene) for target in running for scene in options.scenes
    }
    found: Rounds = {scene.name: {target.name: [] for target in running} for scene in options.scenes}
    for number in range(options.rounds + 1):
        for target in running:
            for scene in options.scenes:
                seconds = options.seconds if number else 1
                loaded = guarded.get(target.name, target) if scene.policies else target
                each = measure(bench, loaded, scene, seconds, opened[target.name, scene.name])
                if number:
                    found[scene.name][target.name].append(each)
                    cost = f", {each.cpu * 1e6:.1f} µs/call" if target.process else ""
                    turn = f"round {number} of {options.rounds}, {target.name}, {scene.name}"
                    say(f"{turn}: {each.rate:,.0f} calls/s{cost}")
    return found


def sessions(bench: Bench, target: Target, scene: Scene) -> Path | None:
    """A file with one session id per client, for the era that has sessions."""
    if scene.era != "legacy":
        return None
    file = bench.directory / f"sessions-{target.name}-{scene.clients}"
    if not file.exists():
        file.write_text("\n".join(client.sessions(target.name, target.url, scene.clients)) + "\n")
    return file


def measured(options: argparse.Namespace) -> Result:
    result = run(options)
    now, last = difference.run_of(result), difference.read(machine.identity())
    difference.record(machine.identity(), last, now)
    return Result(result.markdown(), result.json(), result.others(), difference.markdown(last, now))


def main() -> int:
    parser = command.parser(__doc__)
    command.add_rounds(parser, 5)
    names, kinds = list(targets.TARGETS), [scene.name for scene in SCENES]
    parser.add_argument(
        "--targets",
        type=report.choices(names),
        default=targets.present(),
        help=f"some of {','.join(names)} (default: all; `make compiled` builds the last)",
    )
    parser.add_argument(
        "--scenes",
        type=report.choices(kinds),
        default=kinds,
        help=f"some of {','.join(kinds)} (default: all, 16 minutes)",
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"3 rounds of 1 s of {' and '.join(QUICK)}, unless --scenes says otherwise"
    )
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 3, 1
        options.scenes = QUICK if options.scenes is kinds else options.scenes
    options.scenes = named(options.scenes)
    return command.run("throughput", options, lambda: measured(options))


if __name__ == "__main__":
    sys.exit(main())
