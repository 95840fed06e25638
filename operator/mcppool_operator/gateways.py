"""Asks gateway pods on their admin port for their configuration, and whether any server answers them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

import aiohttp

from mcppool_operator.children import ADMIN_PORT
from mcppool_operator.observed import Sync
from mcppool_operator.pods import MAX_CAUSE

MAX_ANSWER: Final = 64 * 1024
"""Upper bound in bytes on an answer; a longer one counts as none. Any pod may have a gateway's labels."""

MAX_LOAD: Final = 1024 * 1024
"""The same for a gateway's answer about each server."""


def new_session() -> aiohttp.ClientSession:
    """Return a session for requests to pods: no proxy, no cookies, and answers are not decompressed."""
    return aiohttp.ClientSession(trust_env=False, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())


async def ask(
    session: aiohttp.ClientSession, url: str, statuses: Collection[int] = (200,), most: int = MAX_ANSWER
) -> Mapping[str, Any] | None:
    """Return the JSON object at `url`; None for anything else: a redirect, an encoded or a long body, no JSON.

    Raises the exceptions of a call without an answer (`TRANSIENT`).
    """
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    async with session.get(url, allow_redirects=False, headers=headers) as response:
        if response.status not in statuses or response.headers.get("Content-Encoding", "identity") != "identity":
            return None
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > most:
                return None
    try:
        answer = json.loads(bytes(body))
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, Mapping) else None


def admin_url(address: str, path: str) -> str:
    """Return the admin URL of a gateway pod. The operator chooses the port: a pod with another one is not asked."""
    return f"http://{f'[{address}]' if ':' in address else address}:{ADMIN_PORT}{path}"


def configz_url(address: str) -> str:
    """Return the URL of a gateway pod's configuration."""
    return admin_url(address, "/configz?settings=none")


def compare(expected: str, answers: Mapping[str, Mapping[str, Any] | None]) -> Sync:
    """Return the number of ready pods with the configuration of this hash, and the state of the others. Pure."""
    synced = [pod for pod, answer in answers.items() if answer and answer.get("hash") == expected]
    return Sync(
        ready=len(answers),
        synced=len(synced),
        rejected=tuple(sorted(pod for pod, answer in answers.items() if answer and _refused(answer) == expected)),
        silent=tuple(sorted(pod for pod, answer in answers.items() if answer is None)),
        key_ids=frozenset.intersection(*map(_key_ids, answers.values())) if answers else frozenset(),
    )


def felt_health(health: Mapping[str, Any] | None, pool: str) -> str | None:
    """Return the reason why a gateway can answer no client of a pool, in its own words; None if it can, or does not
    tell. Pure."""
    components = (health or {}).get("components")
    component = components.get(f"pool {pool}") if isinstance(components, Mapping) else None
    if not isinstance(component, Mapping) or component.get("status") != "unhealthy":
        return None
    return str(component.get("message") or "no reason is given")[:MAX_CAUSE]


def _key_ids(answer: Mapping[str, Any] | None) -> frozenset[str]:
    found = (answer or {}).get("keyIds")
    return frozenset(map(str, found)) if isinstance(found, list) else frozenset()


def _refused(answer: Mapping[str, Any]) -> str | None:
    rejected = answer.get("rejected")
    return rejected.get("hash") if isinstance(rejected, Mapping) else rejected
