"""`cache`: cached answers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from urllib.parse import parse_qsl

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from mcppool.spec.model import Excludes, Needs, Rule, Section
from mcppool.spec.values import Duration, FileName, Flag, Hint, Integer, Size
from mcppool.spec.written_urls import split_url

REDIS_URL_PATTERN = r"^(rediss?://[^\s/?#@]+(/[0-9]+)?|unix:///[^\s?#@]+)$"

REDIS_SERVER_PATTERN = r"^rediss?://[^\s/?#@]+(/[0-9]+)?$"


def _check_redis_url(url: str) -> str:
    """Refuse anything but the plain address of a Redis server, and name the wrong part."""
    parts = split_url(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise PydanticCustomError("url", "does not begin with redis://, rediss:// or unix://")
    if "@" in parts.netloc:
        raise PydanticCustomError("url", "has a user name or password in it, and it would show in logs")
    if parts.query or parts.fragment or any(c <= " " for c in url):
        raise PydanticCustomError("url", "has more in it than an address and the number of a database")
    if parts.scheme == "unix":
        if parts.hostname or not parts.path.strip("/"):
            raise PydanticCustomError("url", "names no socket")
    elif not parts.hostname or not (parts.path.strip("/") or "0").isdigit():
        raise PydanticCustomError("url", "is not HOST:PORT with the number of a database, or nothing, after it")
    return url


RedisUrl = Annotated[
    str,
    StringConstraints(max_length=2048),
    AfterValidator(_check_redis_url),
    Hint("redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///SOCKET, without a password", REDIS_URL_PATTERN),
]


RedisServerUrl = Annotated[
    RedisUrl,
    StringConstraints(pattern=REDIS_SERVER_PATTERN),
    Hint("redis://HOST:PORT/DB or rediss://HOST:PORT/DB, without a password", REDIS_SERVER_PATTERN),
]
"""In a resource: there is no socket in a gateway's pod."""


SQL_URL_PATTERN = (
    r"^(sqlite:///[^?#]*[^/?#]|postgres(ql)?://([^\s/?#@:]+@)?[^\s/?#@]+(/[^\s/?#@]+)?(\?sslmode=[a-z-]+)?)$"
)

SQL_SERVER_PATTERN = (
    r"^postgres(ql)?://([^\s/?#@:]+@)?[^\s/?#@%]+(/[^\s/?#@]+)?"
    r"(\?sslmode=(disable|allow|prefer|require|verify-ca|verify-full))?$"
)

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

_INSTEAD = {
    "password": "; the password belongs in sql_password_file",
    "sslrootcert": "; the authorities belong in sql_ca_file",
    "sslcert": "; the environment variable PGSSLCERT names the file of a client certificate",
    "sslkey": "; the environment variable PGSSLKEY names the file of its key",
}
"""Where the value of another parameter belongs."""


def _check_sql_url(url: str) -> str:
    """Refuse anything but the plain address of a database, and name the wrong part."""
    parts = split_url(url)
    try:
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise PydanticCustomError("url", "has a parameter without a value") from None
    if parts.scheme not in ("sqlite", "postgresql", "postgres"):
        raise PydanticCustomError("url", "does not begin with sqlite:/// or postgresql://")
    if parts.password is not None:
        raise PydanticCustomError("url", "has a password in it, and it would show in logs; use sql_password_file")
    if parts.fragment or any(c < " " for c in url):
        raise PydanticCustomError("url", "has more in it than an address")
    if parts.scheme == "sqlite":
        if parts.netloc or query or not parts.path.strip("/") or parts.path.endswith("/"):
            raise PydanticCustomError("url", "is not sqlite:/// with the absolute path of a file after it")
        return url
    for key, value in query:
        if key == "sslmode" and value not in SSL_MODES:
            modes = ", ".join(SSL_MODES)
            raise PydanticCustomError("url", "has sslmode={value}; allowed: {modes}", {"value": value, "modes": modes})
        if key != "sslmode":
            raise PydanticCustomError(
                "url",
                "has the parameter {key}; allowed: sslmode{instead}",
                {"key": key, "instead": _INSTEAD.get(key, "")},
            )
    if not parts.hostname:
        raise PydanticCustomError("url", "names no host")
    if "/" in parts.path.removeprefix("/") or " " in url:
        raise PydanticCustomError("url", "is not USER@HOST:PORT with the name of a database, or nothing, after it")
    return url


SqlUrl = Annotated[
    str,
    StringConstraints(max_length=2048),
    AfterValidator(_check_sql_url),
    Hint("sqlite:///ABSOLUTE/FILE or postgresql://USER@HOST:PORT/DATABASE, without a password", SQL_URL_PATTERN),
]


SqlServerUrl = Annotated[
    SqlUrl,
    StringConstraints(pattern=SQL_SERVER_PATTERN),
    Hint("postgresql://USER@HOST:PORT/DATABASE, without a password", SQL_SERVER_PATTERN),
]
"""In a resource: a file in a gateway's pod would be shared with nobody."""


Prefix = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9._:-]+$", max_length=64),
    Hint("up to 64 letters, digits, dots, underscores, colons and hyphens"),
]


class CacheSpec(Section):
    """Where the gateway caches answers, how many, and for how long."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Needs("redis", "redis_url"),
        Excludes(
            "sql_ca_file",
            "sql_url",
            "sslmode=(disable|allow|prefer)",
            "the connection could be without TLS, and no certificate is checked; use verify-full",
        ),
    )

    type: Literal["none", "memory", "redis", "sql"] = Field(
        "memory", description="Where answers are cached; `none` turns the cache off."
    )
    max_size: Integer = Field(
        10_000, ge=1, le=10_000_000, description="Maximum number of answers in memory, or in the database."
    )
    max_bytes: Size = Field(64 << 20, description="Maximum size of the answers in memory, or in the database.")
    ttl: Duration = Field(3600.0, description="Upper bound on how long a cacheable answer is kept.")
    honor_hints: Flag = Field(True, description="Follow the `ttlMs` and `cacheScope` that servers send.")
    redis_url: RedisUrl | None = Field(None, description="Address of Redis, for every section that uses it.")
    redis_prefix: Prefix = Field(
        "mcppool",
        description="Prefix of the keys in Redis. Give different prefixes to different pools of the same name.",
    )
    redis_timeout: Duration = Field(0.05, description="How long a call waits for Redis before it goes on without it.")
    redis_password_file: FileName | None = Field(None, description="File with the password of Redis.")
    sql_url: SqlUrl | None = Field(
        None,
        description="Database of the cache: PostgreSQL for several gateways, an SQLite file for one. By default an "
        "SQLite file in the directory for caches of the system or the user.",
    )
    sql_prefix: Prefix = Field(
        "mcppool",
        description="Separates the answers of different pools of the same name in one database.",
    )
    sql_timeout: Duration = Field(
        0.05, description="How long a call waits for the database before it goes on without it."
    )
    sql_password_file: FileName | None = Field(None, description="File with the password of the database.")
    sql_ca_file: FileName | None = Field(
        None,
        description="File with the authorities that sign the certificate of the database. TLS is then required; "
        "the name in the certificate is checked, unless `sslmode` is `verify-ca`.",
    )
