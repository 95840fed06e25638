"""A pool with every policy on: the gateway of the scene "every policy".

No limit is reached, so that the load is that of the other scenes; each call is counted and checked all the same.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

from bench.targets import Bench, Target, mcppool
from mcppool.access.key_file import ApiKey, hash_of, render_key

RULES = """
[[pools.access.allow]]
name = "callers"
tools = ["echo*"]
"""
RATES = """
[pools.rate_limit]
principal = {requests_per_second = 1000000}
tool = {requests_per_second = 1000000}
pool = {requests_per_second = 1000000}
"""
LIMITS = """
[pools.limits]
principal = {max_concurrent = 10000}
tool = {max_concurrent = 10000}
pool = {max_concurrent = 10000}
endpoint = {max_concurrent = 1000}
"""


def keys_section(file: Path) -> tuple[str, str]:
    """The section of a pool whose only client has a key in this file, which is written here; and the key."""
    key = secrets.token_urlsafe(32)
    file.write_text(render_key(ApiKey("bench", hash_of(key))))
    return f'[pools.auth.inbound]\ntype = "api_keys"\napi_keys = {{keys_file = "{file}"}}\n', key


def audit_section(file: Path) -> str:
    """The section of a pool with an audit log in this file."""
    return f'[pools.audit]\ntype = "file"\nfile = "{file}"\n'


def all_sections(directory: Path, name: str) -> tuple[str, str]:
    """All of these sections, with files of their own by `name`; and the key of the clients."""
    keys, key = keys_section(directory / f"keys-{name}.toml")
    return keys + RULES + 'names = ["bench"]\n' + audit_section(directory / f"audit-{name}.jsonl") + RATES + LIMITS, key


def every_policy(bench: Bench, name: str, command: Sequence[str] = ()) -> Target:
    """Our gateway with an API key, access rules, an audit log in a file, all rates and all limits; `name` and `command`
    are those of the gateway without."""
    sections, key = all_sections(bench.directory, f"{name}-policies")
    return mcppool(bench, f"{name}-policies", sections, key, command=command)
