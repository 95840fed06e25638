"""The list of what is in an image: the packages of all its layers, as the topmost one that has them leaves them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.requirements import ROOT

STATUS = """\
Package: openssl
Status: install ok installed
Architecture: amd64
Version: 3.0.22-1~deb12u2
Description: tools
 Package: of nobody

Package: gone
Status: deinstall ok not-installed
Architecture: amd64
Version: 1
"""
RELEASE = 'PRETTY_NAME="Debian"\nVERSION_ID="12"\nID=debian\n'
SITE = "opt/mcppool/lib/python3.11/site-packages"


def tar(files: Mapping[str, str | bytes]) -> bytes:
    archived = io.BytesIO()
    with tarfile.open(fileobj=archived, mode="w") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return archived.getvalue()


def metadata(name: str, version: str) -> str:
    return f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nLicense-Expression: MIT\n\nName: of the text\n"


def listed(path: Path, *layers: Mapping[str, str]) -> dict[str, Any]:
    """The list of an image with these layers."""
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "ab12.json", "RepoTags": ["localhost:5000/mcppool-gateway:1.2"], "Layers": names}]
    files = {"manifest.json": json.dumps(manifest).encode(), **dict(zip(names, map(tar, layers), strict=True))}
    path.write_bytes(tar(files))
    command = [sys.executable, str(ROOT / "scripts" / "sbom"), str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def purls(bill: dict[str, Any]) -> list[str]:
    return [component["purl"] for component in bill["components"]]


def test_packages_of_debian_and_python_are_listed_with_their_versions(tmp_path: Path) -> None:
    base = {"var/lib/dpkg/status": STATUS, "etc/os-release": RELEASE}
    own = {f"./{SITE}/typing_extensions-4.dist-info/METADATA": metadata("Typing_Extensions", "4.1")}
    bill = listed(tmp_path / "image.tar", base, own)
    assert purls(bill) == [
        "pkg:deb/debian/openssl@3.0.22-1~deb12u2?arch=amd64&distro=debian-12",
        "pkg:pypi/typing-extensions@4.1",
    ]
    assert bill["components"][1]["licenses"] == [{"expression": "MIT"}]
    assert bill["metadata"]["component"] == {
        "type": "container", "bom-ref": "sha256:ab12", "name": "mcppool-gateway", "version": "1.2",
    }  # fmt: skip
    assert listed(tmp_path / "again.tar", base, own) == bill


def test_what_a_later_layer_replaces_or_removes_is_not_in_the_image(tmp_path: Path) -> None:
    first = {f"{SITE}/{name}-1.dist-info/METADATA": metadata(name, "1") for name in ("a", "b", "c")}
    first["x/d.dist-info/METADATA"] = metadata("d", "1")
    second = {
        f"{SITE}/a-1.dist-info/METADATA": metadata("a", "2"),
        f"{SITE}/.wh.b-1.dist-info": "",
        "x/.wh..wh..opq": "",
    }
    bill = listed(tmp_path / "image.tar", first, second, {"x/e.dist-info/METADATA": metadata("e", "1")})
    assert purls(bill) == ["pkg:pypi/a@2", "pkg:pypi/c@1", "pkg:pypi/e@1"]
