"""One round of load on one target."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import machine
from bench.processes import Failed, busy_seconds, wait_until_at_rest
from bench.scenes import Scene
from bench.targets import Bench, Target, executed_calls

SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True)
class Round:
    """Times in seconds. `cpu` is the target's user and system time per call; `others` the share of both
    cores that went to processes outside the benchmark, which tells how far to believe the round."""

    calls: int
    rate: float
    p50: float
    p99: float
    cpu: float
    others: float
    errors: int
    executed: int


def measure(bench: Bench, target: Target, scene: Scene, seconds: int, sessions: Path | None = None) -> Round:
    """Load a target for so many seconds; `sessions` is a file with a legacy session id for each client.

    Raises Failed as `measure_together` does."""
    return measure_together(bench, target, [target], scene, seconds, sessions)


def measure_together(
    bench: Bench, target: Target, gateways: Sequence[Target], scene: Scene, seconds: int, sessions: Path | None = None
) -> Round:
    """Load these gateways at the same time, each by a load generator of its own with an equal part of the clients.
    `target` has the processes of all.

    The load begins once all processes of the benchmark are at rest. Raises Failed when they do not come to rest, an
    answer was not 2xx, or the upstream executed fewer calls than were answered."""
    cpu, results, others, executed = load_together(bench, [target], gateways, scene, seconds, sessions)
    calls = sum(result["calls"] for result in results)
    rate = sum(result["calls"] / result["seconds"] for result in results)
    p50, p99 = (max(result[name] for result in results) for name in ("p50", "p99"))
    return Round(calls, rate, p50, p99, cpu[0] / calls, others, 0, executed)


def measure_side_by_side(bench: Bench, pair: Sequence[Target], scene: Scene, seconds: int) -> list[Round]:
    """Load these gateways at the same time as `measure_together` does, and measure each by itself."""
    cpu, results, others, executed = load_together(bench, pair, pair, scene, seconds, None)
    return [
        Round(
            result["calls"], result["calls"] / result["seconds"], result["p50"], result["p99"], used / result["calls"],
            others, 0, executed,
        )
        for used, result in zip(cpu, results, strict=True)
    ]  # fmt: skip


def load_together(
    bench: Bench,
    measured: Sequence[Target],
    gateways: Sequence[Target],
    scene: Scene,
    seconds: int,
    sessions: Path | None,
) -> tuple[list[float], list[dict[str, Any]], float, int]:
    """Load these gateways at the same time: see `measure_together`. Returns the CPU seconds of each target in
    `measured`, the results of the load generators, the share of both cores that others took, and the executed calls."""
    part = replace(scene, clients=scene.clients // len(gateways))
    executed = executed_calls(bench)
    wait_until_at_rest([process for process in bench.processes if process.child.poll() is None])
    began, busy, ours = time.monotonic(), busy_seconds(bench.cores), bench_cpu(bench, measured)
    before = [target_cpu(target) for target in measured]
    loads = [start_load(bench, gateway, part, seconds, sessions) for gateway in gateways]
    results = [result_of(load, seconds) for load in loads]
    cpu = [target_cpu(target) - used for target, used in zip(measured, before, strict=True)]
    ours = bench_cpu(bench, measured) - ours
    others = max(0.0, busy_seconds(bench.cores) - busy - ours) / len(bench.cores) / (time.monotonic() - began)
    executed = executed_calls(bench) - executed
    calls, errors = [result["calls"] for result in results], [result["errors"] for result in results]
    if any(sum(each.values()) for each in errors) or not all(calls) or executed < sum(calls):
        raise Failed(f"{measured[-1].name}: {calls} answers, {executed} calls executed, errors {errors}")
    return cpu, results, others, executed


def start_load(
    bench: Bench, target: Target, scene: Scene, seconds: int, sessions: Path | None
) -> subprocess.Popen[str]:
    """Start a load generator."""
    argv = [machine.tool("wrk"), "-t1", f"-c{scene.clients}", f"-d{seconds}s", "-s", str(SCRIPT)]
    argv += [*(["-H", f"Authorization: Bearer {target.token}"] if target.token else []), target.url, "--"]
    argv += scene.load(sessions)
    return subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {bench.load_core}),
    )


def result_of(load: subprocess.Popen[str], seconds: int) -> dict[str, Any]:
    """What a load generator says when it ends. Raises Failed if it says nothing."""
    try:
        stdout, stderr = load.communicate(timeout=seconds + 30)
    except subprocess.TimeoutExpired:
        load.kill()
        load.communicate()
        raise Failed("wrk does not end") from None
    line = re.search(r"^RESULT (.*)$", stdout, re.M)
    if line is None:
        raise Failed(f"wrk ended with status {load.returncode}: {stderr or stdout}")
    found: dict[str, Any] = json.loads(line[1])
    return found


def target_cpu(target: Target) -> float:
    return target.process.cpu_seconds() if target.process else 0.0


def bench_cpu(bench: Bench, measured: Sequence[Target]) -> float:
    """The total CPU time of this round: targets, upstream, load generator (a child that has ended) and this process."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return own + bench.upstream_process.cpu_seconds() + sum(map(target_cpu, measured))
