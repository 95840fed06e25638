"""Configuration files, snapshots and answers of an admin port: whole and broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from mcppool.spec import default_snapshot, render_snapshot
from mcppool.spec.toml import load_bytes
from tests.fuzz.pieces import PARTS, values

FOUNDING = Path(__file__).parent.parent / "unit" / "spec" / "founding-document.toml"
LOCAL = """profile = "development"
[listener]
listen = "[::1]:0"
allowed_hosts = ["*.example.org", "a:8080"]
allowed_origins = ["https://a"]
max_body = "4MiB"
[limits]
memory = "1GiB"
[[pools]]
name = "files"
command = ["sh", "-c", "exit 1"]
replicas = 2
env = {A = "x", B = "$HOME"}
env_from = ["PATH", "MCP_*"]
  [pools.local]
  idle_timeout = "2s"
  [pools.sessions]
  stateless = true
  max_bytes = "1MiB"
"""
REMOTE = """[metrics]
port = 0
host = "::1"
[[pools]]
name = "search"
endpoints = [
  "http://127.0.0.1:8001/mcp",
  {url = "https://[::1]:8443/mcp?a=b", weight = 0, priority = 3, host = "a.b", headers = {X-A = {value = "b"}}},
]
  [pools.headers]
  forward = ["X-Tenant"]
  send = {Authorization = {value_env = "TOKEN", prefix = "Bearer "}}
  [pools.cache]
  type = "redis"
  redis_url = "redis://127.0.0.1:6379/0"
  [pools.rate_limit]
  store = "redis"
  principal = {requests_per_second = 5, burst = 9}
  [pools.load_balancer]
  strategy = "consistent_hash"
  hash_key = "header:X-Tenant"
  [pools.tools."search*"]
  idempotent = true
  cache_ttl = "1h30m"
  [pools.tools."search*".retry_policy]
  preset = "network"
[[pools]]
name = "dns"
dns = "http://servers.local:80/mcp"
"""
TOML_PARTS = [
    *PARTS[:40], b"[[pools]]\n", b"[pools]\n", b"[pools.cache]\n", b'name = "a"\n', b"= ", b'"""', b"'''", b"#",
    b"{}", b"[]",
    b"a.b.c = 1\n", b'"" = 1\n', b"1979-05-27T07:32:00Z", b"07:32:00", b"nan", b"-inf", b"0x" + b"f" * 5000, b"true",
    b'"\\U0010FFFF"', b"\xed\xa0\x80", b'"9999999h"', b'"-1s"', b'"1e9s"', b'"http://a:99999/"', b'"http://[::1"', b'"redis://"',
    b"a = " + b"[" * 2000 + b"]" * 2000 + b"\n", b"{a = " * 400, b"[a." + b"b." * 3000 + b"c]\n",
    b'"' + "٣s".encode() + b'"', b'"/dev/zero"', b'"/proc/self/mem"', b'"/"', b'"\\u0000"',
]  # fmt: skip
TOMLS = [FOUNDING.read_bytes(), LOCAL.encode(), REMOTE.encode()]

HEALTH = {"overall": "healthy", "components": {"pool demo": {"status": "unhealthy", "message": "nobody answers"}}}
ENDPOINT = {
    "url": "http://a/mcp", "state": "available", "score": 1.0, "latency": 0.1, "share": 1.0, "inFlight": 0,
    "connections": {"connected": 1}, "attempts": 3, "failures": 1, "reason": None,
}  # fmt: skip
POOL = {
    "name": "demo", "cache": None, "callsPerSecond": 1.0, "sessions": 0, "waiting": 0, "catalogTools": 2,
    "strategy": "random",
    "panic": False, "warnings": [], "endpoints": [ENDPOINT], "outcomes": {"success": 3}, "retries": {}, "breakers": [],
    "learned": None, "events": [{"at": "2026-01-01T00:00:00Z", "endpoint": "a", "reason": "x", "count": 1,
    "detail": ""}],
}  # fmt: skip
STATUS: dict[str, Any] = {
    "version": "0.1", "at": "2026-01-01T00:00:00Z", "health": HEALTH, "notReady": {}, "pools": [POOL],
    "config": {"rejected": None},
}  # fmt: skip
CONFIG: dict[str, Any] = {
    "hash": "sha256:1", "generation": 1, "rejected": {"hash": "sha256:2", "problems": ["x"],
    "at": "2026-01-01T00:00:00Z"},
    "process": {"logging.level": {"value": "info", "origin": "default"}},
    "pools": {"demo": {"cache.type": {"value": "none", "origin": "f.toml:3"}}},
}  # fmt: skip


def snapshots() -> list[dict[str, Any]]:
    """Documents as the operator publishes them, without their hash."""
    published = [render_snapshot(default_snapshot(["http://a/mcp"]))]
    published += [render_snapshot(load_bytes(text, "seed")) for text in (FOUNDING.read_bytes(), REMOTE.encode())]
    documents = [json.loads(text) for text in published]
    for document in documents:
        del document["hash"]
    return documents


@st.composite
def altered(draw: st.DrawFn, documents: list[dict[str, Any]]) -> dict[str, Any]:
    """One of the documents with some values replaced, left out or put elsewhere."""
    document: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(documents))))
    for _ in range(draw(st.integers(0, 3))):
        place: Any = document
        while True:
            keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or draw(st.integers(0, 3)) == 0:
                if isinstance(place, dict) and draw(st.integers(0, 4)) == 0:
                    del place[key]
                else:
                    place[key] = draw(values)
                break
            place = place[key]
    return document
