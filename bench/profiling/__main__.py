"""`make profile`: where the CPU time of a call goes in the gateway, by step of the pipeline, and as a flame graph.

A gateway with a sampler (bench/profiling/sampler.py) is loaded with one scene of `make bench`. The time of a function
counts for the step that its module belongs to (bench/profiling/steps.py), with the C code that it calls; what the event
loop does outside of Python, mostly system calls, has a row of its own.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from bench import client, machine, report, targets
from bench.measure import measure
from bench.policies import every_policy
from bench.processes import Failed
from bench.profiling import flame, steps
from bench.scenes import SCENES, Scene, named
from bench.targets import Bench, Target
from bench.throughput import sessions

FUNCTIONS = 25
"""Functions in the table."""


def profile(scene: Scene, seconds: int) -> tuple[dict[str, int], float]:
    """Return the stacks, and the CPU time per call while they were taken."""
    load_core, target_core = machine.cores()
    with tempfile.TemporaryDirectory(prefix="mcppool-bench-") as directory, ExitStack() as stack:
        bench = Bench(Path(directory), load_core, target_core, stack)
        targets.start_upstream(bench)
        file = bench.directory / "stacks"
        command = [sys.executable, "-m", "bench.profiling.sampler", str(file)]
        if scene.policies:
            target = every_policy(bench, "mcppool", command)
        else:
            target = targets.mcppool(bench, command=command)
            client.check(target.name, target.url, scene.era)
        opened = sessions(bench, target, scene)
        measure(bench, target, scene, 2, opened)
        toggle(target)
        found = measure(bench, target, scene, seconds, opened)
        toggle(target)
        return stacks_of(file), found.cpu


def toggle(target: Target) -> None:
    """Start or stop the sampler."""
    assert target.process is not None
    os.kill(target.process.child.pid, signal.SIGUSR2)


def stacks_of(file: Path) -> dict[str, int]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if file.exists() and file.stat().st_size:
            return steps.read(file.read_text())
        time.sleep(0.05)
    raise Failed("the sampler has written nothing")


def markdown(scene: Scene, stacks: Mapping[str, int], cpu: float) -> str:
    """Return the tables of steps and of functions."""
    total = sum(stacks.values())
    cost = cpu * 1e6 / max(1, total)
    rows = [[step, f"{n / total:.1%}", f"{n * cost:.1f}"] for step, n in steps.by_step(stacks).items()]
    rows.append(["all", "100.0%", f"{total * cost:.1f}"])
    functions = [
        [name.removeprefix("mcppool."), f"{own / total:.1%}", f"{own * cost:.1f}", f"{whole * cost:.1f}"]
        for name, own, whole in steps.by_function(stacks)[:FUNCTIONS]
    ]
    return "\n\n".join(
        [
            f"**{scene.name}**: {scene.shows} ({scene.era} era, {report.counted(scene.clients, 'client')}, "
            f"{total:,} samples)",
            report.table(["step", "share", "CPU µs/call"], rows),
            report.table(["function", "share of its own", "CPU µs/call of its own", "with its callees"], functions),
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [scene.name for scene in SCENES]
    parser.add_argument("--scene", choices=names, default="json", metavar="SCENE", help=f"one of {', '.join(names)}")
    parser.add_argument("--seconds", type=int, default=15, help="length of the load (default 15)")
    parser.add_argument("--svg", type=Path, default=report.RESULTS / "profile.svg", help="default: %(default)s")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/reference/benchmarks.md")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every started process is ended
    try:
        (scene,) = named([options.scene])
        stacks, cpu = profile(scene, options.seconds)
        text = markdown(scene, stacks, cpu)
        print(text)
        options.svg.parent.mkdir(parents=True, exist_ok=True)
        title = f"mcppool, CPU time of a call: {scene.name} ({cpu * 1e6:.1f} µs)"
        options.svg.write_text(flame.render(stacks, title))
        print(f"flame graph: {options.svg}", file=sys.stderr)
        if options.write:
            report.write_section("profile", f"{report.versions_line(machine.host())}\n\n{text}")
    except Failed as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
