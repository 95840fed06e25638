"""Copies this program into a directory, to run from there in any container.

The adapter of a stdio server runs in the server's own container. The image there may have another C library than ours,
or none, and no Python. So the copy contains everything: the interpreter, its modules, their shared libraries, and the
loader. The command names the loader and the directory of the libraries, so that nothing of the image is loaded, and no
variable such as LD_LIBRARY_PATH reaches the server.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path, PurePath
from typing import Final

import mcppool

DISTRIBUTION: Final = "mcp-server-pool"
LOADER: Final = "loader"
UNUSED: Final = (
    "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "distutils", "pydoc_data",
    "site-packages", "dist-packages", "config-*", "*.opt-?.pyc", "*.a",
    "_test*.so", "_xxtest*.so", "_tkinter*.so", "_curses*.so", "_dbm*.so", "_gdbm*.so", "_sqlite3*.so", "nis*.so",
    "readline*.so",
)  # fmt: skip
"""Parts of the standard library that the adapter does not need, and that would add libraries."""

ENTRY: Final = "import sys\n\nfrom mcppool.cli.main import main\n\nsys.exit(main())\n"
PT_INTERP: Final = 3


class NotPortableError(Exception):
    """This program cannot be copied; the text gives the reason."""


def copy_program(into: Path) -> None:
    """Fill the directory `into`, which may exist and must be empty. Raises NotPortableError and OSError."""
    interpreter = Path(sys.executable).resolve()
    loader = _loader_of(interpreter)
    library = Path(sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix})).resolve()
    modules = into / "lib" / library.name
    shutil.copytree(library, modules, ignore=shutil.ignore_patterns(*UNUSED), dirs_exist_ok=True)
    _copy_packages(into / "app")
    (into / "app" / "__main__.py").write_text(ENTRY)
    (into / "bin").mkdir(exist_ok=True)
    copied = _copy(interpreter, into / "bin" / "python3")
    _copy(loader, into / LOADER)
    extensions = [*modules.rglob("*.so"), *(into / "app").rglob("*.so")]
    for path in libraries_of(loader, [copied, *extensions], into):
        _copy(path, into / "lib" / path.name)
    _try(into)


def command(place: str) -> list[str]:
    """Return the command that starts a copy in the directory `place`; arguments of `mcppool` follow."""
    python = [f"{place}/bin/python3", "-I", "-S", "-B", "-u", "-X", "utf8", f"{place}/app"]
    return [f"{place}/{LOADER}", "--library-path", f"{place}/lib", *python]


def _try(place: Path) -> None:
    """Start the copy once, so that a broken one fails here and not in another container."""
    done = subprocess.run([*command(str(place)), "--version"], capture_output=True, text=True, env={}, check=False)
    if done.returncode != 0:
        raise NotPortableError(f"the copy does not start: {done.stderr.strip()}")


def _copy(source: Path, target: Path) -> Path:
    shutil.copy2(source.resolve(), target)
    target.chmod(0o755)
    return target


def _copy_packages(app: Path) -> None:
    """The package and its dependencies."""
    ours = Path(mcppool.__file__).parent
    shutil.copytree(ours, app / ours.name, dirs_exist_ok=True)
    for distribution in _needed(DISTRIBUTION):
        for file in distribution.files or ():
            if ".." in file.parts or (distribution.name == DISTRIBUTION and not _is_beside_package(file)):
                continue  # commands in bin/; and our package, which an editable installation has elsewhere
            target = app / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file.locate(), target)


def _is_beside_package(file: PurePath) -> bool:
    """Whether a file of our distribution is about it, or the library that its compiled modules share."""
    return "dist-info" in file.parts[0] or (len(file.parts) == 1 and file.suffix == ".so")


def _needed(name: str) -> Iterator[metadata.Distribution]:
    """A distribution and all its installed requirements, without extras."""
    names, seen = [name], {name}
    while names:
        try:
            distribution = metadata.distribution(names.pop())
        except metadata.PackageNotFoundError:
            continue  # required on another system, or by another version of Python
        yield distribution
        for text in distribution.requires or ():
            required = _name_in(text)
            if "extra ==" not in text and required not in seen:
                seen.add(required)
                names.append(required)


def _name_in(requirement: str) -> str:
    end = next((at for at, letter in enumerate(requirement) if not (letter.isalnum() or letter in "-_.")), None)
    return requirement[:end]


def _loader_of(program: Path) -> Path:
    """The loader that a program names in its ELF head."""
    head = program.read_bytes()
    if head[:5] != b"\x7fELF\x02":
        raise NotPortableError(f"{program} is not a program of 64-bit Linux")
    start, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
    for number in range(count):
        at = start + number * size
        if struct.unpack_from("<I", head, at)[0] == PT_INTERP:
            offset, length = struct.unpack_from("<Q", head, at + 8)[0], struct.unpack_from("<Q", head, at + 32)[0]
            return Path(head[offset : offset + length].rstrip(b"\0").decode())
    raise NotPortableError(f"{program} is linked statically; the adapter needs an interpreter that loads modules")


def libraries_of(loader: Path, programs: Iterable[Path], into: Path) -> set[Path]:
    """Return every shared library that the loader finds for these programs, outside of `into`.

    An extension module whose libraries are missing here is not in use here either: its package works without it.
    """
    found: set[Path] = set()
    for program in programs:
        listed = subprocess.run([loader, "--list", program], capture_output=True, text=True, check=False)
        if listed.returncode != 0:
            continue
        for line in listed.stdout.splitlines():
            _, arrow, rest = line.partition(" => ")
            path = Path(rest.rpartition(" (")[0].strip())
            if arrow and path.is_absolute() and not path.is_relative_to(into) and path.resolve() != loader.resolve():
                found.add(path)
    return found
