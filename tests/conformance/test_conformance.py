"""The official conformance suite through the gateway: no check fails that passes against the bare server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.conformance.baseline import Entry, failures, read_baseline, surprises, worse
from tests.conformance.conftest import SERVERS, SPOKEN, BareReports
from tests.conformance.suite import run_suite
from tests.servers import Gateway, everything_server, pool_toml, serving, urls_of

BASELINE = read_baseline(Path(__file__).with_name("baseline.toml"))

#: Call by call to another replica, wherever the pool is free to choose: what is not pinned as it must be fails.
IN_TURN = '[pools.load_balancer]\nstrategy = "round_robin"\n'


@dataclass(frozen=True)
class Pool:
    """`replicas` servers of one kind behind a gateway. `own_keys`: none opens the requestState of another."""

    kind: str
    replicas: int
    own_keys: bool = False

    def __str__(self) -> str:
        return f"{self.kind}-{self.replicas}{'-own-keys' if self.own_keys else ''}"


POOLS = [Pool("sdk", 1), Pool("sdk", 2), Pool("sdk", 3, own_keys=True), Pool("npm", 1), Pool("npm", 2)]


def known(kind: str, revision: str, *, by: str) -> list[Entry]:
    """The entries of the baseline for one comparison."""
    return [entry for entry in BASELINE if (entry.server, entry.revision, entry.by) == (kind, revision, by)]


@pytest.fixture(scope="module")
def pooled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pool, str]]:
    """The pool that is the fixture's parameter, and the URL of the gateway before it."""
    pool: Pool = request.param
    make = partial(everything_server, own_key=True) if pool.own_keys else SERVERS[pool.kind]
    with serving(*(make(f"{pool}-{number}") for number in range(pool.replicas))) as replicas:
        toml = pool_toml(*urls_of(replicas), sections=IN_TURN)
        with serving(Gateway(tmp_path_factory.mktemp("gateway"), toml)) as (gateway,):
            yield pool, gateway.url


@pytest.mark.parametrize(("kind", "revision"), [(kind, revision) for kind in SPOKEN for revision in SPOKEN[kind]])
def test_a_bare_server_fails_the_checks_that_the_baseline_names_and_no_other(
    kind: str, revision: str, bare_reports: BareReports
) -> None:
    found = surprises(failures(bare_reports(kind)[revision]), known(kind, revision, by="server"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("pooled", "revision"),
    [pytest.param(pool, revision, id=f"{pool}-{revision}") for pool in POOLS for revision in SPOKEN[pool.kind]],
    indirect=["pooled"],
    scope="module",
)
def test_a_check_that_passes_against_a_bare_server_passes_through_the_gateway(
    pooled: tuple[Pool, str], revision: str, bare_reports: BareReports, tmp_path: Path
) -> None:
    pool, url = pooled
    bare, through = bare_reports(pool.kind)[revision], run_suite(url, revision, tmp_path / "results")
    found = surprises(worse(bare, through), known(pool.kind, revision, by="gateway"))
    assert not found, "\n".join(found)
