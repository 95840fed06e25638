"""The images: what is in the archives, and what their containers may do."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e import names
from e2e.clusters import ROOT, Cluster
from e2e.pods import ready
from scripts.compiled_modules import COMPILED
from tests.requirements import need_path

MEGABYTES = {"gateway": 120, "operator": 200}
"""Upper bounds of the layers on top of the base."""

USER = "65532:65532"
PROBE = "import os\ntry: open('/opt/mcppool/probe', 'w')\nexcept OSError as error: print(os.getuid(), error.strerror)"
VALID = """
import pathlib, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(pathlib.Path(sys.argv[1]).read_text()))
"""


@dataclass(frozen=True)
class Image:
    """An image in a docker archive: its configuration, and its layers by their paths in the archive."""

    archive: Path
    configuration: dict[str, Any]
    layers: list[str]

    def size(self, layers: list[str]) -> int:
        """The bytes of some of its layers, uncompressed."""
        with tarfile.open(self.archive) as archive:
            return sum(archive.getmember(layer).size for layer in layers)

    def files(self, layers: list[str]) -> Iterator[str]:
        """The paths of all files in some of its layers."""
        with tarfile.open(self.archive) as archive:
            for layer in layers:
                with tarfile.open(fileobj=archive.extractfile(layer)) as content:
                    yield from (member.name for member in content if member.isfile())


def image(name: str) -> Image:
    """The image that `make images` has written under a name."""
    path = need_path(ROOT / "dist" / "images" / f"{name}.tar", f"the image {name}", "make images")
    with tarfile.open(path) as archive:
        (manifest,) = json.loads(_content(archive, "manifest.json"))
        return Image(path, json.loads(_content(archive, manifest["Config"])), manifest["Layers"])


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(name)
    assert found is not None
    return found.read()


@pytest.mark.parametrize("name", sorted(MEGABYTES))
def test_an_image_is_small_byte_compiled_and_not_for_root(name: str) -> None:
    built, base = image(name), set(image("testkit").layers)  # the two have nothing else in common
    ours = [layer for layer in built.layers if layer not in base]
    megabytes = built.size(ours) / 1e6
    print(f"{name}: {megabytes:.0f} MB on top of the base")
    assert 0 < megabytes < MEGABYTES[name]
    assert built.configuration["config"]["User"] == USER
    files = set(built.files(ours))
    sources = {path for path in files if path.endswith(".py") and "/mcppool" in path.removeprefix("opt/mcppool")}
    assert len(sources) > 100
    assert [path for path in sources if _compiled(path) not in files] == []


@pytest.mark.parametrize("name", sorted(MEGABYTES))
def test_the_packages_of_an_image_are_listed_beside_it(name: str) -> None:
    path = need_path(ROOT / "dist" / "images" / f"{name}.cdx.json", f"the SBOM of {name}", "make images")
    python = need_path(ROOT / ".cache" / "venv-audit" / "bin" / "python", "the library for CycloneDX", "make audit")
    check = subprocess.run([python, "-c", VALID, path], capture_output=True, text=True, check=False)
    assert (check.returncode, check.stdout.strip()) == (0, "None"), check.stderr
    listed = {each["purl"].partition("@")[0] for each in json.loads(path.read_text())["components"]}
    assert {"pkg:pypi/mcp-server-pool", "pkg:pypi/cryptography"} < listed
    assert {"pkg:deb/debian/libc6", "pkg:deb/debian/openssl"} < listed


def test_the_gateway_has_the_modules_of_a_call_compiled_and_no_image_has_a_compiler() -> None:
    shared_objects = {
        name: {
            path.rpartition("/site-packages/")[2].partition(".")[0]
            for path in image(name).files(image(name).layers)
            if "/site-packages/mcppool/" in path and path.endswith(".so")
        }
        for name in MEGABYTES
    }
    modules = {f"mcppool/{module.removesuffix('.py')}" for module in COMPILED}
    assert shared_objects == {"gateway": modules, "operator": set()}
    for name in MEGABYTES:
        programs = {path.rpartition("/")[2] for path in image(name).files(image(name).layers) if "bin/" in path}
        assert "mcppool" in programs
        assert [program for program in programs if "gcc" in program or program == "ld"] == []


def test_the_gateway_of_a_pool_runs_the_compiled_build(pool: Cluster) -> None:
    gateway = ready(pool, names.GATEWAY_LABEL).pop()
    assert pool.kubectl("exec", "-n", names.NAMESPACE, gateway, "--", "mcppool", "--version").endswith(" (compiled)\n")


def _compiled(source: str) -> str:
    folder, _, file = source.rpartition("/")
    return f"{folder}/__pycache__/{file.removesuffix('.py')}.cpython-311.pyc"


def test_containers_are_not_root_and_cannot_write_to_their_image(pool: Cluster) -> None:
    gateway = ready(pool, names.GATEWAY_LABEL).pop()
    for namespace, pod in ((names.NAMESPACE, gateway), (names.OPERATOR_NAMESPACE, names.OPERATOR)):
        said = pool.kubectl("exec", "-n", namespace, pod, "--", "python3", "-c", PROBE)
        assert said.split(maxsplit=1) == ["65532", "Read-only file system\n"]
