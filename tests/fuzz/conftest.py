"""The time of each test of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.runs import SECONDS
from tests.fuzz.target import Target


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    """Share of this test in the time of the run; 0: a fixed number of inputs."""
    tests = [item for item in request.session.items if "seconds" in getattr(item, "fixturenames", ())]
    return SECONDS / len(tests)


@pytest.fixture(scope="package")
def _plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One gateway for the tests of this folder. It ends with them: its servers run in a thread of this process."""
    target = Target(tmp_path_factory.mktemp("gateway"))
    try:
        yield target
        target.demand_nothing_left()
    finally:
        target.close()


@pytest.fixture
def target(_plain: Target) -> Target:
    """A gateway that other tests have used, too."""
    _plain.demand_health()
    return _plain


@pytest.fixture
def tls_target(tmp_path: Path) -> Iterator[Target]:
    """A gateway of its own with a TLS listener."""
    target = Target(tmp_path, tls=True)
    yield target
    target.close()
