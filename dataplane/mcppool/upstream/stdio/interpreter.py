"""The command that starts this process's own Python again."""

from __future__ import annotations

import os
import shutil
import sys


def own_interpreter() -> list[str]:
    """Return the command of the Python that runs this process. Raises FileNotFoundError if there is none.

    If a dynamic loader was started by name, with the interpreter as its argument, the interpreter cannot start without
    it: the loader and its arguments come first.
    """
    python = sys.executable or shutil.which("python3")
    if not python:
        raise FileNotFoundError("no Python to run the keeper of local servers with")
    try:
        program = os.readlink("/proc/self/exe")
        with open("/proc/self/cmdline", encoding="utf-8", errors="surrogateescape") as file:
            words = file.read().split("\0")
    except OSError:
        return [python]
    if program != os.path.realpath(python) and python in words:
        return words[: words.index(python) + 1]
    return [python]
