"""The servers of the conformance tests, and the suite's results for each without a gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import pytest

from tests.conformance.suite import LEGACY, REVISIONS, Report, run_suite
from tests.servers import ServerProcess, everything_server, npm_everything_server, serving

#: The kinds of servers by the names that baseline.toml has for them, and the revisions that each speaks.
SERVERS: dict[str, Callable[[str], ServerProcess]] = {"sdk": everything_server, "npm": npm_everything_server}
SPOKEN = {"sdk": REVISIONS, "npm": (LEGACY,)}

BareReports = Callable[[str], Mapping[str, Report]]


@pytest.fixture(scope="session")
def bare_reports(tmp_path_factory: pytest.TempPathFactory) -> BareReports:
    """Call it with a kind of server: returns the suite's results for one such server at each revision. Each is run
    once."""

    @cache
    def reports(kind: str) -> Mapping[str, Report]:
        with serving(SERVERS[kind](f"bare-{kind}")) as (server,):
            folder = tmp_path_factory.mktemp(f"bare-{kind}")
            return {revision: run_suite(server.url, revision, folder / revision) for revision in SPOKEN[kind]}

    return reports
