"""Which environment a local server gets: a small base, what its pool lists, and nothing else of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

BASE = (
    "HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER",  # what the SDKs' clients give
    "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR",
    "XDG_*_HOME", "XDG_RUNTIME_DIR",
)  # fmt: skip
"""Variables of ours that every local server gets, where they are set."""


def environment_for(
    env: Mapping[str, str], env_from: Sequence[str], ours: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The environment of a program, and the names in `env_from` that nothing in `ours` answers to.

    `env` wins over `env_from`, which wins over the base. A value of ours that is a shell function is left out.
    """
    patterns = (*BASE, *env_from)
    found = {
        name: value
        for name, value in ours.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns) and not value.startswith("()")
    }
    missing = tuple(pattern for pattern in env_from if not any(fnmatchcase(name, pattern) for name in ours))
    return {**found, **env}, missing
