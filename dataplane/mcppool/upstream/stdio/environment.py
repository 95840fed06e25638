"""The environment of a local server: a small base and the variables that its pool lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

BASE = (
    "HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER",  # the variables that the SDKs' clients pass on
    "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR",
    "XDG_*_HOME", "XDG_RUNTIME_DIR",
)  # fmt: skip
"""Variables of this process that every local server gets, if they are set."""


def environment_for(
    env: Mapping[str, str], env_from: Sequence[str], ours: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The environment of a program, and the names in `env_from` that match nothing in `ours`.

    `env` wins over `env_from`, which wins over the base. Shell functions in `ours` are left out.
    """
    patterns = (*BASE, *env_from)
    found = {
        name: value
        for name, value in ours.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns) and not value.startswith("()")
    }
    missing = tuple(pattern for pattern in env_from if not any(fnmatchcase(name, pattern) for name in ours))
    return {**found, **env}, missing
