"""The wheel that users install: its content, and that it works without this repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.requirements import ROOT, missing, need_program
from tests.servers import ServerProcess, free_port, serving
from tests.servers.process import HOST


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """The output of the command. Fails with it if the command does."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment.setdefault("UV_HTTP_TIMEOUT", "120")  # seconds; by default 30
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, cwd=cwd, env=environment, timeout=300
    )
    assert result.returncode == 0, f"{' '.join(map(str, command))}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel and the source archive, built by the pinned hatchling."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--directory", folder, cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def environment(folder: Path, lock: str, wheel: Path) -> Path:
    """The `bin` of a new environment with only the wheel and the packages of `lock`."""
    uv = need_program("uv", "`make install` installs it")
    run(uv, "venv", "--quiet", "--python", sys.executable, folder)
    install: Sequence[str | Path] = (uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python")
    try:
        run(*install, "--require-hashes", "-r", ROOT / "requirements" / lock)
    except AssertionError as failure:
        if re.search(r"connect|resolve|timed out", str(failure), re.IGNORECASE):
            missing("a package registry", f"installing requirements/{lock} needs one, or uv's cache: {failure}")
        raise
    run(*install, "--no-deps", wheel)
    return folder / "bin"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The `bin` of an environment as a user of the gateway has it."""
    return environment(tmp_path_factory.mktemp("gateway") / "venv", "gateway.lock", wheel)


def test_the_wheel_has_both_packages_their_types_and_the_licence(wheel: Path) -> None:
    assert wheel.name.startswith("mcp_server_pool-")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"mcppool/__init__.py", "mcppool/py.typed", "mcppool_operator/__init__.py", "mcppool_operator/py.typed"} <= {
        *names
    }
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"mcppool", "mcppool_operator", "mcp_server_pool"}


def test_every_module_of_the_sources_is_in_the_wheel(wheel: Path) -> None:
    sources = {
        path.relative_to(ROOT / top).as_posix()
        for top, package in (("dataplane", "mcppool"), ("operator", "mcppool_operator"))
        for path in (ROOT / top / package).rglob("*.py")
    }
    assert sources <= {*zipfile.ZipFile(wheel).namelist()}


def test_the_source_archive_has_what_the_wheel_is_built_from(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        names = {name.split("/", 1)[1] for name in members.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "dataplane/mcppool/__init__.py"} <= names
    assert not any(name.startswith(("tests/", ".venv/", ".cache/")) for name in names)


def test_the_installed_command_prints_its_version_and_usage(clean: Path, tmp_path: Path) -> None:
    assert re.search(r"\b\d+\.\d+\.\d+", run(clean / "mcppool", "--version", cwd=tmp_path))
    usage = run(clean / "mcppool", "--help", cwd=tmp_path)
    for command in ("serve", "call", "check", "config", "schema"):
        assert command in usage
    assert run(clean / "python", "-m", "mcppool", "--help", cwd=tmp_path) == usage


def test_the_installed_gateway_serves_with_what_its_lock_file_names(clean: Path, tmp_path: Path) -> None:
    port, admin = free_port(), free_port()
    config = tmp_path / "pools.toml"
    config.write_text(
        f'[listener]\nlisten = "{HOST}:{port}"\n[metrics]\nport = {admin}\n'
        f'[[pools]]\nname = "nobody"\nendpoints = ["http://{HOST}:{free_port()}/mcp"]\n'
    )
    command = [str(clean / "mcppool"), "serve", "--config", str(config)]
    with serving(ServerProcess("installed gateway", command, admin, path="/livez")) as (gateway,):
        assert gateway.terminate() == 0, gateway.log


def test_the_gateway_is_installed_without_the_sdk_the_operator_and_the_tools(clean: Path) -> None:
    uv = need_program("uv", "`make install` installs it")
    listed = run(uv, "pip", "list", "--python", clean / "python")
    installed = {line.split()[0] for line in listed.splitlines()[2:] if line.strip()}
    assert "mcp-server-pool" in installed
    assert not installed & {"mcp", "kopf", "kubernetes", "pytest", "mypy", "hatchling"}


def test_a_missing_extra_gets_a_message_with_its_name(clean: Path, tmp_path: Path) -> None:
    def fails(*command: str | Path) -> str:
        result = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=tmp_path)
        assert result.returncode != 0
        return result.stdout + result.stderr

    assert "pip install 'mcp-server-pool[operator]'" in fails(clean / "mcppool-operator")
    transport = "import mcppool, asyncio; mcppool.Pool(['http://127.0.0.1:1/mcp']).transport()"
    assert "pip install 'mcp>=2.3'" in fails(clean / "python", "-c", transport)


def test_the_operator_is_installed_by_its_lock_file(tmp_path: Path, wheel: Path) -> None:
    bin_folder = environment(tmp_path / "venv", "operator.lock", wheel)
    assert "usage" in run(bin_folder / "mcppool-operator", "--help", cwd=tmp_path).lower()
