"""Addresses of hosts: splits and joins `HOST:PORT`."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

MAX_PORT_DIGITS: Final = 5  # digits


def split_authority(authority: str) -> tuple[str, int | None]:
    """Host and port of `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`. The host keeps its brackets; a missing port is
    None."""
    host, colon, port = authority.rpartition(":")
    if colon and len(port) <= MAX_PORT_DIGITS and port.isascii() and port.isdigit() and not host.endswith(":"):
        return host, int(port)
    return authority, None


def split_address(address: str) -> tuple[str, int]:
    """Host, without brackets, and port of `HOST:PORT` or `[IPV6]:PORT`. Raises ValueError for anything else."""
    host, port = split_authority(address)
    if port is None or port > 65535 or not can_be_looked_up(host):
        raise ValueError("not an address")
    plain = without_brackets(host)
    if plain == host and ":" in host:
        raise ValueError("an IPv6 address needs brackets")
    return plain, port


def can_be_looked_up(host: str) -> bool:
    """Whether a host is an address or a possible name: each label of a name has 1 to 63 characters."""
    try:
        host.encode("idna")  # as name look-ups do, which raise UnicodeError otherwise
    except UnicodeError:
        return False
    return host != "" and all(c != " " and c.isprintable() for c in host)


def address_of(url: str) -> tuple[str, int]:
    """Host, without brackets, and port of an HTTP URL; the scheme's port if the URL has none."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def without_brackets(host: str) -> str:
    """A host in the form for sockets and certificates: an IPv6 address has no brackets."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def with_brackets(host: str) -> str:
    """A host in the form for URLs: an IPv6 address has brackets."""
    return f"[{host}]" if ":" in host else host


def with_port(host: str, port: int) -> str:
    """`HOST:PORT`, or `[IPV6]:PORT`, of a host without brackets."""
    return f"{with_brackets(host)}:{port}"


def is_loopback(host: str) -> bool:
    """Whether a listen address, or the name in a `Host`, is this machine's own loopback."""
    host = without_brackets(host)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_internal(host: str) -> bool:
    """Whether a host belongs to this machine, or to a private network by its address or name: a name without a dot, or
    one of a cluster."""
    host = without_brackets(host)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".svc", ".local", ".internal"))
    return address.is_loopback or address.is_private
