"""A pool with every policy on: the gateway of the scene "every policy".

No limit is reached, so that the load is that of the other scenes; each call is counted and checked all the same.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from bench.targets import Bench, Target, mcppool
from mcppool.access.key_file import ApiKey, hash_of, render_key

SECTIONS = """
[pools.auth.inbound]
type = "api_keys"
api_keys = {{keys_file = "{directory}/keys-{name}.toml"}}
[[pools.access.allow]]
name = "callers"
names = ["bench"]
tools = ["echo*"]
[pools.audit]
type = "file"
file = "{directory}/audit-{name}.jsonl"
[pools.rate_limit]
principal = {{requests_per_second = 1000000}}
tool = {{requests_per_second = 1000000}}
pool = {{requests_per_second = 1000000}}
[pools.limits]
principal = {{max_concurrent = 10000}}
tool = {{max_concurrent = 10000}}
pool = {{max_concurrent = 10000}}
endpoint = {{max_concurrent = 1000}}
"""


def every_policy(bench: Bench, name: str, command: Sequence[str] = ()) -> Target:
    """Our gateway with an API key, access rules, an audit log in a file, all rates and all limits; `name` and `command`
    are those of the gateway without."""
    key, name = secrets.token_urlsafe(32), f"{name}-policies"
    (bench.directory / f"keys-{name}.toml").write_text(render_key(ApiKey("bench", hash_of(key))))
    return mcppool(bench, name, SECTIONS.format(directory=bench.directory, name=name), key, command=command)
