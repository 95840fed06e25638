"""A process and its lines as they come, each with the time of its arrival."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from types import TracebackType
from typing import Any

from e2e import figures
from e2e.clusters import Cluster, CommandFailedError
from e2e.names import TESTKIT
from e2e.waiting import until

LONGEST = "1800"
"""Seconds after which a load ends by itself, if its test has not ended it."""


class Lines:
    """Reads a process in a thread; ended by closing its input if it has one, else by SIGTERM."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[tuple[float, str]] = []
        self._errors: list[str] = []
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def seen(self) -> list[tuple[float, str]]:
        """Every line so far with its time (`time.monotonic()`)."""
        return list(self._lines)

    def words(self) -> str:
        """The standard error of the process, and its last line."""
        return "".join(self._errors) + (self._lines[-1][1] if self._lines else "")

    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def stop(self, seconds: float = 60) -> None:
        """End the process and read the rest of its output."""
        if self._process.stdin:
            self._process.stdin.close()
        else:
            self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
        for thread in self._threads:
            thread.join(seconds)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.append((time.monotonic(), line))

    def _read_errors(self) -> None:
        assert self._process.stderr
        self._errors.extend(self._process.stderr)


def assert_nothing_is_lost(report: dict[str, Any], *, but_unsure_writes: bool = False) -> None:
    """Assert of a load's report that every read was answered and every write was done once.

    `but_unsure_writes`: something died in the test, and a write in flight there may fail, because its outcome is
    unknown.
    """
    assert report["failedReads"] == report["failedHandshakes"] == report["unsentWrites"] == 0, report["errors"]
    assert report["doubleWrites"] == report["lostWrites"] == 0, report
    assert but_unsure_writes or report["unsureWrites"] == 0, report["errors"]
    assert report["writes"] > 0
    assert report["protocols"] == ["2025-11-25", "2026-07-28"]


class Load:
    """A steady load of SDK clients of both eras that read and write, from a pod; `stop` gives its report."""

    def __init__(self, cluster: Cluster, pod: str, url: str, rate: float = 50, workers: int = 8) -> None:
        command = ["kubectl", "exec", "-i", pod, "--", "python3", "-m", "testkit", "load", url]
        options = ["--rate", str(rate), "--seconds", LONGEST, "--workers", str(workers)]
        self._lines = Lines(cluster.start(*command, *options, stdin=subprocess.PIPE))

    def __enter__(self) -> Load:
        self.reach(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.stop()

    def now(self) -> dict[str, Any]:
        """The report so far."""
        lines = self._lines.seen()
        if not lines and not self._lines.running():
            raise AssertionError(f"the load did not start: {self._lines.words()}")
        return json.loads(lines[-1][1]) if lines else {"calls": 0, "failures": 0, "replicas": {}}

    def reach(self, more: int) -> None:
        """Wait until `more` further calls are made."""
        target = self.now()["calls"] + more
        until(f"{target} calls under load", lambda: self.now()["calls"] >= target)

    def first_answer_of(self, replica: str) -> float | None:
        """When a report first counted a call that `replica` answered (`time.monotonic()`)."""
        return next((when for when, line in self._lines.seen() if replica in json.loads(line)["replicas"]), None)

    def stop(self) -> dict[str, Any]:
        """End the load and return its final report."""
        self._lines.stop()
        report = self.now()
        assert report["final"], f"the load ended early: {self._lines.words()}"
        figures.note(report)
        return report


class PodLoad:
    """The same load in a pod of its own, which needs no connection while it runs; for tests that cut off the API
    server."""

    def __init__(self, cluster: Cluster, url: str, *, rate: float = 50, timeout: float = 120, node: str = "") -> None:
        self._cluster, self._name = cluster, f"load-{time.monotonic_ns() % 10**9}"
        arguments = ["load", url, "--rate", str(rate), "--seconds", LONGEST, "--timeout", str(timeout)]
        container = {"name": "load", "image": TESTKIT, "args": arguments, "stdin": True}
        spec = {"restartPolicy": "Never", "containers": [container], **({"nodeName": node} if node else {})}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": self._name}, "spec": spec}
        cluster.kubectl("apply", "-f", "-", text=json.dumps(pod))

    def __enter__(self) -> PodLoad:
        self.reach(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cluster.kubectl("delete", "pod", self._name, "--grace-period=1", "--wait=false")

    def now(self) -> dict[str, Any]:
        """The report so far."""
        try:
            last = self._cluster.kubectl("logs", self._name, "--tail=1").strip()
        except CommandFailedError:
            last = ""
        return json.loads(last) if last.startswith("{") else {"calls": 0, "final": False}

    def reach(self, more: int) -> None:
        """Wait until `more` further calls are made."""
        target = self.now()["calls"] + more
        until(f"{target} calls under load", lambda: self.now()["calls"] >= target, interval=0.5)

    def stop(self) -> dict[str, Any]:
        """End the load and return its final report."""
        self._cluster.kubectl("exec", self._name, "--", "python3", "-c", "import os; os.kill(1, 15)")
        until("the load has ended", lambda: self.now()["final"], interval=0.5)
        report = self.now()
        figures.note(report)
        return report


class Sessions:
    """Handshake-era sessions in a pod that call steadily until stopped."""

    def __init__(self, cluster: Cluster, pod: str, url: str, count: int) -> None:
        command = ["kubectl", "exec", "-i", pod, "--", "python3", "-m", "testkit", "sessions", url]
        self._process = cluster.start(*command, "--count", str(count), "--interval", "1", stdin=subprocess.PIPE)
        self._lines = Lines(self._process)

    def __enter__(self) -> Sessions:
        until("every session has an answer", lambda: all(each["calls"] for each in self.now().values()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.stop()

    def now(self) -> dict[str, dict[str, Any]]:
        """The record of each session, by its name."""
        lines = self._lines.seen()
        if not lines:
            if not self._lines.running():
                raise AssertionError(f"the sessions did not start: {self._lines.words()}")
            return {"none yet": {"calls": 0}}
        found: dict[str, dict[str, Any]] = json.loads(lines[-1][1])
        return found

    def at(self, replica: str) -> list[str]:
        """The names of the sessions that go on and live at a replica."""
        return [name for name, each in self.now().items() if not each["ended"] and each["replicas"][-1] == replica]

    def end(self, names: list[str]) -> None:
        """End sessions as their clients would."""
        assert self._process.stdin
        self._process.stdin.write(f"end {' '.join(names)}\n")
        self._process.stdin.flush()
        until("the sessions have ended", lambda: all(self.now()[name]["ended"] for name in names))
