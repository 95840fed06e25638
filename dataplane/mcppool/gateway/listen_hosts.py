"""The addresses that a gateway binds."""

from __future__ import annotations

import socket

from mcppool.spec import Snapshot

EVERY_IPV4 = "0.0.0.0"  # noqa: S104
EVERY_IPV6 = "::"


def listen_hosts(host: str, *, in_pod: bool) -> list[str]:
    """The addresses to bind for `host`: in a pod, "every address" means both families, if the machine has both.

    An operator publishes `0.0.0.0`, which gateways of any version bind; the pod's address, which probes, Services and
    the operator use, may be an IPv6 one.
    """
    return [EVERY_IPV4, EVERY_IPV6] if in_pod and host == EVERY_IPV4 and has_ipv6() else [host]


def is_in_pod(snapshot: Snapshot) -> bool:
    """Whether an operator has published the snapshot: it gives each one a term."""
    return snapshot.term > 0


def has_ipv6() -> bool:
    """Whether a socket of this machine can listen on IPv6."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((EVERY_IPV6, 0))
    except OSError:
        return False
    return True
