"""Settings that stay as they were at the start."""

from __future__ import annotations

from typing import Final

from mcppool.spec import Problem, Snapshot

RESTART: Final = "cannot change while the gateway serves; restart it"

OF_ADMIN_PORT: Final = ("enabled", "host", "port", "prometheus_enabled", "allowed_hosts", "token_file", "tls")


def changed_for_a_process(old: Snapshot, new: Snapshot) -> list[Problem]:
    """Changed settings that need a new socket or new keys: each is a problem for a process that serves."""
    fixed = ["allowed_hosts", "allowed_origins", "tls"]
    if None in (old.listener.sealing_keys, new.listener.sealing_keys):
        fixed.append("sealing_keys")  # the sessions of a key in memory cannot be kept; those of a file can
    problems = [*changed_for_a_gateway(old, new), *_listener(old, new, fixed)]
    if old.gateway.zone != new.gateway.zone:
        problems.append(Problem("gateway.zone", RESTART, new.gateway.zone))
    return problems


def changed_for_a_gateway(old: Snapshot, new: Snapshot) -> list[Problem]:
    """Those among them that new workers cannot change, either: the supervisor has the port, and answers on the admin
    port."""
    problems = _listener(old, new, ("listen", "workers"))
    problems += [
        Problem(f"metrics.{name}", RESTART, getattr(new.metrics, name))
        for name in OF_ADMIN_PORT
        if getattr(old.metrics, name) != getattr(new.metrics, name)
    ]
    return problems


def _listener(old: Snapshot, new: Snapshot, names: tuple[str, ...] | list[str]) -> list[Problem]:
    return [
        Problem(f"listener.{name}", RESTART, getattr(new.listener, name))
        for name in names
        if getattr(old.listener, name) != getattr(new.listener, name)
    ]
