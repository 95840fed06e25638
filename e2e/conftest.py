"""One cluster for all tests: the page is followed from the top, and each test leaves things as the page left them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from e2e import figures
from e2e.clusters import REMEDY, ROOT, Cluster, open_cluster
from e2e.diagnosis import diagnose
from e2e.monitoring import install_prometheus
from e2e.page import FirstCall, Page, Script
from e2e.pods import restore
from e2e.waiting import PATIENCE
from tests.requirements import missing

IMAGES = [ROOT / "dist" / "images" / f"{name}.tar" for name in ("gateway", "operator", "testkit")]
CLUSTER = pytest.StashKey[Cluster]()


THOROUGH = os.environ.get("E2E_ALL") == "1"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "thorough: takes longer than the core; `make e2e-all` runs it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave slow tests to `make e2e-all`, and tests that remove everything to the end."""
    chosen = [item for item in items if THOROUGH or item.get_closest_marker("thorough") is None]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = sorted(chosen, key=lambda item: item.path.name == "test_uninstall.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures of the loads."""
    for line in figures.summary().splitlines():
        terminalreporter.write_line(line)
    figures.publish()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the cluster's state with the failure; it may be gone when someone reads about it."""
    report = yield
    cluster = item.config.stash.get(CLUSTER, None)
    if report.failed and cluster:
        report.sections.extend(diagnose(cluster))
    return report


@pytest.fixture(scope="session")
def page() -> Page:
    return Page(ROOT / "docs" / "tutorials" / "kubernetes.md")


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A cluster with the images on its nodes."""
    for image in IMAGES:
        if not image.exists():
            missing(str(image.relative_to(ROOT)), "make images")
    opened = open_cluster()
    if opened is None:
        missing("a Kubernetes cluster", REMEDY)
    helm = subprocess.run(
        [sys.executable, ROOT / "scripts" / "fetch-helm"], capture_output=True, text=True, check=False
    )
    if helm.returncode != 0:
        missing("Helm", helm.stderr.strip())
    opened.tools = (Path(helm.stdout.strip()).parent,)
    try:
        pytestconfig.stash[CLUSTER] = opened
        opened.load(IMAGES)
        yield opened
    finally:
        del pytestconfig.stash[CLUSTER]
        opened.close()


@pytest.fixture(scope="session")
def script(cluster: Cluster, page: Page) -> Script:
    return Script(cluster, page)


@pytest.fixture(scope="session")
def installed(script: Script) -> Script:
    """The CRD and the operator."""
    script.run("crds")
    script.run("install")
    return script


@pytest.fixture(scope="session")
def servers(script: Script) -> Script:
    """Three MCP servers, a pod of SDK clients, and the ledger of the servers' writes."""
    script.run("servers")
    script.cluster.kubectl("apply", "-f", str(ROOT / "e2e" / "ledger.yaml"))
    script.cluster.kubectl("wait", "--for=condition=Ready", "pod/ledger", f"--timeout={PATIENCE:g}s")
    return script


@pytest.fixture(scope="session")
def first_call(installed: Script, servers: Script) -> FirstCall:
    """The pool is applied and called, as the page says."""
    started = time.monotonic()
    installed.run("pool")
    installed.run("ready")
    printed = installed.run("call")
    return FirstCall(printed, time.monotonic() - started)


@pytest.fixture(scope="session")
def previous_images(cluster: Cluster) -> str:
    """The tag of operator and gateway of the previous commit, on the nodes."""
    archives = [ROOT / "dist" / "images" / "previous" / f"{name}.tar" for name in ("gateway", "operator")]
    for archive in archives:
        if not archive.exists():
            missing(str(archive.relative_to(ROOT)), "scripts/build-previous-images")
    cluster.load(archives)
    return "previous"


@pytest.fixture
def pool(first_call: FirstCall, cluster: Cluster) -> Iterator[Cluster]:
    """A cluster with the page's pool at work, all three servers and both gateways ready; made so again afterwards."""
    yield cluster
    restore(cluster)


@pytest.fixture
def prometheus(pool: Cluster) -> Cluster:
    """The same, with a Prometheus."""
    install_prometheus(pool)
    return pool
