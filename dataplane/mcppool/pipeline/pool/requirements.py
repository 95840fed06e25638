"""The needs of a pool on this machine: files, environment variables, extras. The gateway, the library and `mcppool
check` share these checks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from mcppool.cache.database_tls import VARIABLES, DatabaseTls
from mcppool.cache.password_file import UnreadablePassword, read_password
from mcppool.header_value import read_value
from mcppool.pipeline.sql import default_file
from mcppool.pipeline.tool_pins import read_lock
from mcppool.spec import HeaderValueSpec, PoolSpec, Problem
from mcppool.spec.sections.collector import CollectorAccess
from mcppool.tls_files import UnusableTlsFile, client_context
from mcppool.upstream.http.tls import UpstreamTls
from mcppool.upstream.oauth.client import unusable_files
from mcppool.upstream.oauth.private_key import load_key
from mcppool.upstream.oauth.token_response import TokenUnavailable


def unmet_needs(pool: PoolSpec) -> Iterator[Problem]:
    """Every need of the pool that this machine does not meet. Paths of the problems begin in the pool."""
    yield from server_tls(pool)
    yield from _headers(pool)
    yield from _outbound(pool)
    yield from _lock_file(pool)
    yield from _redis(pool)
    yield from _sql(pool)
    yield from _collectors(pool)


def doubts(pool: PoolSpec) -> Iterator[str]:
    """Missing requirements of the pool's local server, a sentence each; they may exist when the server starts."""
    if not pool.command:
        return
    program = pool.command[0]
    if shutil.which(program, path=pool.env.get("PATH")) is None:
        yield f"pool {pool.name}: the program {program} is not found"
    for name in pool.env_from:
        if not name.endswith("*") and name not in os.environ:
            yield f"pool {pool.name}: the environment variable {name} of env_from is not set"


def server_tls(pool: PoolSpec) -> Iterator[Problem]:
    """Whether the certificates and keys for https endpoints can be read."""
    tls = pool.tls
    if tls.ca_file or tls.certificate_file:
        try:
            UpstreamTls(tls).context()
        except UnusableTlsFile as error:
            yield Problem(f"tls.{error.key}", f"cannot be used: {error}", error.file)


def _headers(pool: PoolSpec) -> Iterator[Problem]:
    places = [("headers.send", pool.headers.send)]
    places += [(f"endpoints[{index}].headers", endpoint.headers) for index, endpoint in enumerate(pool.endpoints)]
    for place, headers in places:
        yield from _values(place, headers)


def _values(place: str, headers: Mapping[str, HeaderValueSpec]) -> Iterator[Problem]:
    for name, value in headers.items():
        try:
            read_value(value)
        except ValueError as error:
            yield Problem(f"{place}.{name}", f"has no value: {error}")


def _outbound(pool: PoolSpec) -> Iterator[Problem]:
    outbound = pool.auth.outbound
    if outbound.token is not None:
        try:
            read_value(HeaderValueSpec(value_file=outbound.token.token_file))
        except ValueError as error:
            yield Problem("auth.outbound.token.token_file", f"has no value: {error}")
    if outbound.identity is not None:
        try:
            load_key(outbound.identity.key_file)
        except TokenUnavailable as error:
            yield Problem("auth.outbound.identity.key_file", str(error), outbound.identity.key_file)
    if (client := outbound.client_credentials or outbound.token_exchange) is not None:
        place = f"auth.outbound.{outbound.type}"
        for key, problem in unusable_files(client):
            yield Problem(f"{place}.{key}", problem)


def _lock_file(pool: PoolSpec) -> Iterator[Problem]:
    yield from unusable("catalog.lock_file", pool.catalog.lock_file, read_lock)


def unusable(place: str, file: str | None, read: Callable[[str], object]) -> Iterator[Problem]:
    """The reason why a file that the configuration names at `place` cannot be read."""
    if file is not None:
        try:
            read(file)
        except (OSError, ValueError) as error:
            yield Problem(place, f"cannot be used: {error}", file)


def _collectors(pool: PoolSpec) -> Iterator[Problem]:
    if pool.audit.otlp is not None:
        yield from _collector("audit.type", "otlp", "audit.otlp", pool.audit.otlp)
    if pool.tracing.enabled:
        yield from _collector("tracing.enabled", True, "tracing", pool.tracing)
        if pool.tracing.protocol == "grpc" and not _is_installed("grpc"):
            why = "needs the extra `otel-grpc`: pip install 'mcp-server-pool[otel-grpc]'"
            yield Problem("tracing.protocol", why, "grpc")


def _collector(key: str, value: object, section: str, access: CollectorAccess) -> Iterator[Problem]:
    if not _is_installed("opentelemetry", "opentelemetry.proto"):
        yield Problem(key, "needs the extra `otel`: pip install 'mcp-server-pool[otel]'", value)
    try:
        client_context(access.ca_file, access.certificate_file, access.key_file)
    except UnusableTlsFile as error:
        yield Problem(f"{section}.{error.key}", f"cannot be used: {error}", error.file)
    yield from _values(f"{section}.headers", access.headers)


def _redis(pool: PoolSpec) -> Iterator[Problem]:
    users = {
        "cache.type": pool.cache.type,
        "sessions.store": pool.sessions.store,
        "rate_limit.store": pool.rate_limit.store,
    }
    used = [key for key, store in users.items() if store == "redis"]
    if not used:
        return
    if not _is_installed("redis"):
        install = "pip install 'mcp-server-pool[redis]'"
        yield Problem(used[0], f"needs the extra `redis`: {install}", "redis")
    yield from _password("redis_password_file", pool.cache.redis_password_file)


def _sql(pool: PoolSpec) -> Iterator[Problem]:
    cache = pool.cache
    if cache.type != "sql":
        return
    try:
        url = cache.sql_url or f"sqlite://{default_file()}"
    except OSError as error:
        yield Problem("cache.sql_url", str(error))
        return
    if url.startswith("sqlite:"):
        folder = Path(urlsplit(url).path).parent
        if cache.sql_url is not None and not os.access(folder, os.W_OK | os.X_OK):
            yield Problem("cache.sql_url", f"the directory {folder} does not exist or is not writable", url)
        return
    if not _is_installed("asyncpg"):
        yield Problem("cache.sql_url", "needs the extra `postgres`: pip install 'mcp-server-pool[postgres]'", url)
    yield from _password("sql_password_file", cache.sql_password_file)
    try:
        DatabaseTls(url, cache.sql_ca_file)
    except UnusableTlsFile as error:
        if error.key in VARIABLES:
            yield Problem("cache.sql_url", f"the file of {error.key} cannot be used: {error}", url)
        else:
            yield Problem(f"cache.{error.key}", f"cannot be used: {error}", error.file)


def _password(key: str, file: str | None) -> Iterator[Problem]:
    if file is not None:
        try:
            read_password(key, file)
        except UnreadablePassword as error:
            yield Problem(f"cache.{key}", f"cannot be read: {error.why}", file)


def _is_installed(*packages: str) -> bool:
    """Whether there are these packages, the outermost first: one is looked for within the one before."""
    return all(find_spec(name) is not None for name in packages)
