"""The `Host` and `Origin` values that the gateway serves: the defence against DNS rebinding (design §8.5).

A page that was loaded from `evil.example` may make that name resolve to the gateway's address and then call it as its
own origin. So the gateway serves a `Host` only if no stranger can own it: a listed name, or an IP address.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from mcppool.spec.address import is_loopback, split_authority, without_brackets

REMEMBERED = 1024  # verdicts on distinct hosts and origins that are kept
ANY = "*"
MAX_SHOWN = 255  # characters of a host in a message


class AllowedHosts:
    """Verdicts, remembered: clients repeat the same two headers on each request.

    On a loopback listener, `Host` must be a loopback name or address; elsewhere it may be any address, too. Any other
    name must be in `allowed_hosts`: with its port or without, as `*.example.org` for all names below that one, or `*`
    for all. An `Origin` must be the host itself or one of `allowed_origins`; requests without one are not from a
    browser.
    """

    def __init__(self, listen_host: str, allowed_hosts: tuple[str, ...], allowed_origins: tuple[str, ...]) -> None:
        self._loopback = is_loopback(listen_host)
        self._hosts = frozenset(host.lower() for host in (*allowed_hosts, listen_host))
        self._below = tuple(host[1:] for host in self._hosts if host.startswith("*."))
        self._origins = frozenset(origin.lower().rstrip("/") for origin in allowed_origins)
        self._verdicts: dict[str, bool] = {}

    def host_allowed(self, host: str) -> bool:
        """Whether a request with this `Host` is served."""
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
        if origin in self._origins or ANY in self._origins:
            return True
        try:
            return urlsplit(origin).netloc == host.lower() != ""
        except ValueError:  # brackets without an address
            return False

    def _judge_host(self, host: str) -> bool:
        name, _port = split_authority(host)
        if host in self._hosts or name in self._hosts or name.endswith(self._below) or ANY in self._hosts:
            return True
        return name == "localhost" or (is_address(name) and (not self._loopback or is_loopback(name)))


def is_address(name: str) -> bool:
    """Whether the name in a `Host` is an IP address (IPv6 in brackets), which no DNS server can point elsewhere."""
    try:
        plain = without_brackets(name)
        if plain != name:
            ipaddress.IPv6Address(plain)
        else:
            ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def refused_host(host: str, key: str) -> str:
    """The message for a client whose `Host` is not served; `key` is the configuration key that lists names."""
    if not host:
        return "There is no Host"
    shown = host if len(host) <= MAX_SHOWN else f"{host[:MAX_SHOWN]}…"
    return f'Host "{shown}" is not served here; {key} lists the names that are'
