"""The section `cache`: the profiles, and where Redis and the database are."""

from __future__ import annotations

import pytest

from mcppool.spec import CacheSpec, ConfigError, loads_toml

POOL = '[[pools]]\nname = "a"\nendpoints = ["http://127.0.0.1:8001/mcp"]\n'


def cache(text: str) -> CacheSpec:
    return loads_toml(text + POOL).pools[0].cache


@pytest.mark.parametrize(("profile", "type"), [("production", "memory"), ("development", "none"), ("test", "none")])
def test_each_profile_has_its_cache(profile: str, type: str) -> None:
    assert cache(f'profile = "{profile}"\n').type == type


@pytest.mark.parametrize(
    "url", ["redis://r:6379", "redis://r:6379/1", "rediss://[::1]:6380/0", "unix:///run/redis/redis.sock"]
)
def test_redis_may_be_at_an_address_or_a_socket_file(url: str) -> None:
    assert cache(f'[cache]\ntype = "redis"\nredis_url = "{url}"\n').redis_url == url


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "redis_url must be set if type is redis"),
        ('redis_url = "redis://:secret@r:6379"', "has a user name or password in it"),
        ('redis_url = "http://r:6379"', "does not begin with redis://"),
        ('redis_url = "redis://r:6379/x"', "is not HOST:PORT"),
        ('redis_url = "redis://r:6379?db=1"', "has more in it"),
        ('redis_url = "redis://r:port"', "is not a URL"),
        ('redis_url = "unix://"', "names no socket"),
    ],
)
def test_an_invalid_address_of_redis_is_refused_without_showing_a_password(lines: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        cache(f'[cache]\ntype = "redis"\n{lines}\n')


def test_an_address_may_stay_in_the_file_of_a_pool_that_keeps_its_answers_elsewhere() -> None:
    text = '[cache]\ntype = "redis"\nredis_url = "redis://r:6379"\n' + POOL + '[pools.cache]\ntype = "memory"\n'
    assert loads_toml(text).pools[0].cache.type == "memory"


@pytest.mark.parametrize("section", ["sessions", "rate_limit"])
def test_every_use_of_redis_needs_its_address(section: str) -> None:
    chosen = f'[{section}]\nstore = "redis"\n'
    with pytest.raises(ConfigError, match=rf"{section}.store: is redis, but cache.redis_url is not set"):
        loads_toml(chosen + POOL)
    pool = POOL + '[pools.cache]\ntype = "none"\nredis_url = "redis://r:6379"\n'
    assert getattr(loads_toml(chosen + pool).pools[0], section).store == "redis", "the pool says where"
    assert getattr(loads_toml(POOL).pools[0], section).store == "memory"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///var/cache/mcppool/answers.sqlite3",
        "postgresql://db",
        "postgres://db:5432/mcppool",
        "postgresql://mcppool@[::1]:5432/mcppool?sslmode=verify-full",
        "postgresql://mcppool@%2Frun%2Fpostgresql/mcppool",
    ],
)
def test_a_database_is_a_file_or_a_server(url: str) -> None:
    assert cache(f'[cache]\ntype = "sql"\nsql_url = "{url}"\n').sql_url == url


def test_a_cache_in_a_database_needs_no_address() -> None:
    assert cache('[cache]\ntype = "sql"\n').sql_url is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://db/x", "does not begin with sqlite:/// or postgresql://"),
        ("sqlite://relative.db", "is not sqlite:/// with the absolute path of a file after it"),
        ("sqlite:///", "is not sqlite:/// with the absolute path"),
        ("sqlite:///folder/", "is not sqlite:/// with the absolute path"),
        ("sqlite:///a?mode=ro", "is not sqlite:/// with the absolute path"),
        ("postgresql://me:hunter2@db/x", "has a password in it, and it would show in logs; use sql_password_file"),
        ("postgresql://db/x?password=hunter2", "has the parameter password; allowed: sslmode; the password belongs in"),
        (
            "postgresql://db/x?sslrootcert=/ca",
            "has the parameter sslrootcert; allowed: sslmode; the authorities belong",
        ),
        ("postgresql://db/x?sslmode=require&sslkey=/k", "has the parameter sslkey; allowed: sslmode; the environment"),
        ("postgresql://db/x?connect_timeout=3", "has the parameter connect_timeout; allowed: sslmode"),
        ("postgresql://db/x?sslmode=often", "has sslmode=often; allowed: disable, allow, prefer, require, verify-ca"),
        ("postgresql://db/x?sslmode=", "has sslmode=; allowed: disable, allow"),
        ("postgresql://db/x?sslmode", "has a parameter without a value"),
        ("postgresql:///x", "names no host"),
        ("postgresql://db:port/x", "is not a URL"),
        ("postgresql://db/x/y", "is not USER@HOST:PORT with the name of a database"),
        ("postgresql://db/x#y", "has more in it than an address"),
    ],
)
def test_an_invalid_address_of_a_database_is_refused_without_showing_a_password(url: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        cache(f'[cache]\ntype = "sql"\nsql_url = "{url}"\n')
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_authorities_of_a_database_exclude_a_mode_that_needs_no_tls(mode: str) -> None:
    with pytest.raises(ConfigError, match=rf"sql_ca_file excludes sslmode={mode} in .*sql_url: .*use verify-full"):
        cache(f'[cache]\ntype = "sql"\nsql_url = "postgresql://db/x?sslmode={mode}"\nsql_ca_file = "/ca"\n')


@pytest.mark.parametrize("query", ["", "?sslmode=require", "?sslmode=verify-ca", "?sslmode=verify-full"])
def test_authorities_of_a_database_go_with_modes_that_require_tls(query: str) -> None:
    text = f'[cache]\ntype = "sql"\nsql_url = "postgresql://db/x{query}"\nsql_ca_file = "/ca"\n'
    assert cache(text).sql_ca_file == "/ca"
