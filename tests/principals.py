"""Principals for tests, by a name."""

from __future__ import annotations

from mcppool.policy.principal import ANONYMOUS, Principal


def principal_of(name: str) -> Principal:
    """The principal with this key; "anonymous" is the one of clients without authentication."""
    return ANONYMOUS if name == ANONYMOUS.key else Principal(name, "api_keys", name=name)
