"""The processes of a benchmark."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench import processes
from bench.processes import Failed, Process, wait_until_at_rest

WORKS = "import time\nwhile time.process_time() < {seconds}: pass\ntime.sleep(600)"
"""A program that works for so many seconds of CPU time, and then sleeps."""


def started(directory: Path, seconds: float) -> Process:
    core = min(os.sched_getaffinity(0))
    return Process([sys.executable, "-S", "-c", WORKS.format(seconds=seconds)], core, directory / "log")


def test_the_next_load_waits_until_the_processes_have_done_the_work_of_the_last(tmp_path: Path) -> None:
    process = started(tmp_path, 0.3)
    try:
        wait_until_at_rest([process])
        assert process.cpu_seconds() >= 0.3
        assert process.asleep()
    finally:
        process.stop()


def test_processes_that_go_on_working_are_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "REST_SECONDS", 0.2)
    process = started(tmp_path, 1e9)
    try:
        with pytest.raises(Failed, match="still work"):
            wait_until_at_rest([process])
    finally:
        process.stop()
