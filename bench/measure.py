"""One round of load on one target."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

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
    """Load a target for so many seconds, once all processes of the benchmark are at rest; `sessions` is a file with a
    legacy session id for each client.

    Raises Failed when they do not come to rest, an answer was not 2xx, or the upstream executed fewer calls than were
    answered."""
    argv = [machine.tool("wrk"), "-t1", f"-c{scene.clients}", f"-d{seconds}s", "-s", str(SCRIPT)]
    argv += [*(["-H", f"Authorization: Bearer {target.token}"] if target.token else []), target.url, "--"]
    argv += scene.load(sessions)
    executed = executed_calls(bench)
    wait_until_at_rest([process for process in bench.processes if process.child.poll() is None])
    began, busy, ours, cpu = time.monotonic(), busy_seconds(bench.cores), bench_cpu(bench, target), target_cpu(target)
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, {bench.load_core}),
    )
    cpu = target_cpu(target) - cpu
    ours = bench_cpu(bench, target) - ours
    others = max(0.0, busy_seconds(bench.cores) - busy - ours) / len(bench.cores) / (time.monotonic() - began)
    line = re.search(r"^RESULT (.*)$", done.stdout, re.M)
    if line is None:
        raise Failed(f"wrk ended with status {done.returncode}: {done.stderr or done.stdout}")
    result = json.loads(line[1])
    executed = executed_calls(bench) - executed
    calls, errors = result["calls"], sum(result["errors"].values())
    if errors or not calls or executed < calls:
        raise Failed(f"{target.name}: {calls} answers, {executed} calls executed, errors {result['errors']}")
    return Round(calls, calls / result["seconds"], result["p50"], result["p99"], cpu / calls, others, errors, executed)


def target_cpu(target: Target) -> float:
    return target.process.cpu_seconds() if target.process else 0.0


def bench_cpu(bench: Bench, target: Target) -> float:
    """The total CPU time of this round: target, upstream, load generator (a child that has ended) and this process."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    own = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    return own + bench.upstream_process.cpu_seconds() + target_cpu(target)
