"""The official conformance suite, and the results of its checks."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.requirements import CACHE, need_node, need_path

REVISIONS = ("2026-07-28", "2025-11-25")
LEGACY = "2025-11-25"

#: Seconds for one run of a requirement set: it takes about twenty on an idle machine.
TIME_LIMIT = 280

#: Statuses from good to bad. A check id that a scenario reports several times has the worst of its statuses.
STATUSES = ("SUCCESS", "INFO", "SKIPPED", "WARNING", "FAILURE")
PASSED = ("SUCCESS", "INFO")

#: A check of ours in each scenario, failed where the suite broke off without writing any check.
RAN = "scenario-ran"

_FOLDER = re.compile(r"(server-)?(?P<scenario>.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


class Check(NamedTuple):
    """One check of one scenario, by the suite's own ids."""

    scenario: str
    id: str

    def __str__(self) -> str:
        return f"{self.scenario}/{self.id}"


@dataclass(frozen=True)
class Verdict:
    """The result of a check, and its reason."""

    status: str
    message: str = ""

    @property
    def passed(self) -> bool:
        """Whether all is well: a warning and a check that was not exercised are not."""
        return self.status in PASSED


Report = Mapping[Check, Verdict]


def run_suite(url: str, revision: str, folder: Path) -> Report:
    """Every check that `revision` requires of a server, and those that are run unscored, against `url`.

    `folder` (empty or missing) keeps the suite's own results. Raises RuntimeError if the suite itself fails.
    """
    command = [*_program(), "server", "--url", url, "--requirements", revision, "--output-dir", str(folder)]
    command += ["--timeout", str(TIME_LIMIT * 1000)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
    )
    report = read_results(folder)
    if done.returncode not in (0, 1) or not report:  # 1: a scored check failed, which is for the baseline to judge
        raise RuntimeError(f"the conformance suite ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return report


async def run_sign_in(clients: Path, revision: str, folder: Path) -> Report:
    """The checks of all scenarios about signing in that `revision` has, by the clients that listen at the socket file.

    All scenarios run at the same time. Raises RuntimeError if the suite itself fails.
    """
    client = f"{sys.executable} -E -S {Path(__file__).with_name('hand_over.py')} {clients}"
    command = [*_program(), "client", "--command", client, "--suite", "all", "--spec-version", revision]
    command += ["--timeout", str(TIME_LIMIT * 1000), "--output-dir", str(folder)]
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
    try:
        words, _ = await asyncio.wait_for(process.communicate(), 2 * TIME_LIMIT)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    report = read_results(folder / "auth") if (folder / "auth").exists() else {}
    if process.returncode not in (0, 1) or not report:
        raise RuntimeError(f"the conformance suite ended with {process.returncode}:\n{words.decode()}")
    return report


def _program() -> list[str]:
    script = CACHE / "conformance/node_modules/@modelcontextprotocol/conformance/dist/index.js"
    need_path(script, "the MCP conformance suite", "`make servers` installs it")
    return [str(need_node()), "--import", Path(__file__).with_name("patience.mjs").as_uri(), str(script)]


def read_results(folder: Path) -> Report:
    """The checks of a finished run: one folder for each scenario."""
    report: dict[Check, Verdict] = {}
    for results in sorted(folder.iterdir()):
        match = _FOLDER.fullmatch(results.name)
        if match is None:
            raise RuntimeError(f"not a scenario's results: {results.name}")
        scenario, file = match["scenario"], results / "checks.json"
        if not file.exists():
            report[Check(scenario, RAN)] = Verdict("FAILURE", "the scenario broke off")
            continue
        for seen in json.loads(file.read_text()):
            check, verdict = Check(scenario, seen["id"]), Verdict(seen["status"], seen.get("errorMessage") or "")
            if check not in report or STATUSES.index(verdict.status) > STATUSES.index(report[check].status):
                report[check] = verdict
    return report
