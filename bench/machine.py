"""The machine and the versions behind a result: versions, processor, cores."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from bench.processes import Failed

REMEDY = {"wrk": "apt-get install wrk", "nginx": "apt-get install nginx-light"}


def tool(name: str) -> str:
    """The path of an installed program; a missing one is named with the way to install it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        raise Failed(f"{name} is missing; on Debian: {REMEDY[name]}")
    return path


def cores() -> tuple[int, int]:
    """(core of load generator and upstream, core of the target alone)."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise Failed("two cores are needed: one for the target alone, one for load generator and upstream")
    return usable[0], usable[1]


def host() -> dict[str, str]:
    """The machine and our own version, for a benchmark without a comparison."""
    found = {"CPU": processor(), "Linux": platform.release(), "Python": platform.python_version()}
    return found | {"mcppool": mcppool_version()}


def versions() -> dict[str, str]:
    found = {"CPU": processor(), "Linux": platform.release(), "Python": platform.python_version()}
    found |= {package: importlib.metadata.version(package) for package in ("uvloop", "httptools", "msgspec", "aiohttp")}
    return found | {"nginx": printed_version("nginx"), "wrk": printed_version("wrk"), "mcppool": mcppool_version()}


def identity() -> str:
    """A key of this machine: results of two runs with the same key may be compared."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 28  # in units of 256 MiB
    numbers = [Path(path) for path in ("/etc/machine-id", "/var/lib/dbus/machine-id")]
    number = next((path.read_text().strip() for path in numbers if path.is_file()), "")
    text = "\n".join((processor(), str(memory), platform.node(), number))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def processor() -> str:
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.M)
    return f"{model[1] if model else platform.machine()} ({os.cpu_count()} cores)"


def printed_version(name: str) -> str:
    done = subprocess.run([tool(name), "-v"], capture_output=True, text=True, timeout=10, check=False)
    number = re.search(r"\d+\.\d+[.\d]*", done.stdout + done.stderr)
    return number[0] if number else "unknown"


def mcppool_version() -> str:
    """The version, with the commit where the benchmark runs from a work tree."""
    version = importlib.metadata.version("mcp-server-pool")
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return version
    return f"{version} ({done.stdout.strip()})"
