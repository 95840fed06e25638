"""Which `Host` and `Origin` may call: the defence against DNS rebinding (DESIGN §3)."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
REMEMBERED = 1024  # verdicts on distinct hosts and origins that are kept


class HostPolicy:
    """Verdicts, remembered: clients repeat the same two headers on each request.

    Where we listen on loopback, `Host` must be a loopback name; elsewhere it is checked only where `allowed_hosts` says
    which are ours. An `Origin` must be the host itself or one of `allowed_origins`; requests without one are not from a
    browser.
    """

    def __init__(self, listen_host: str, allowed_hosts: tuple[str, ...], allowed_origins: tuple[str, ...]) -> None:
        self._loopback = is_loopback(listen_host)
        self._hosts = frozenset(host.lower() for host in allowed_hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in allowed_origins)
        self._verdicts: dict[str, bool] = {}

    def host_allowed(self, host: str) -> bool:
        """Whether a request with this `Host` is for us."""
        verdict = self._verdicts.get(host)
        if verdict is None:
            verdict = self._judge_host(host.lower())
            if len(self._verdicts) < REMEMBERED:
                self._verdicts[host] = verdict
        return verdict

    def origin_allowed(self, origin: str | None, host: str) -> bool:
        """Whether a page of this `Origin` may call."""
        if origin is None:
            return True
        origin = origin.lower().rstrip("/")
        if origin in self._origins or "*" in self._origins:
            return True
        try:
            return urlsplit(origin).netloc == host.lower() != ""
        except ValueError:  # brackets that hold no address
            return False

    def _judge_host(self, host: str) -> bool:
        name = _without_port(host)
        if host in self._hosts or name in self._hosts:
            return True
        if self._loopback:
            return name in LOOPBACK_NAMES or is_loopback(name)
        return not self._hosts


def is_loopback(host: str) -> bool:
    """Whether a listen address, or the name in a `Host`, is this machine's own loopback."""
    host = host.strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and not name.endswith(":") else host
