"""Files: accepted input, and the messages for refused input."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcppool.spec import (
    ConfigError,
    Problem,
    Snapshot,
    availability,
    default_snapshot,
    load_toml,
    loads_toml,
    read_snapshot,
    render_snapshot,
)
from mcppool.spec.explain import settings_of

POOL = '[[pools]]\nname = "a"\nendpoints = ["http://127.0.0.1:8001/mcp"]\n'


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loads_toml(text, "pools.toml")
    return [str(problem) for problem in caught.value.problems]


def test_the_smallest_pool_has_the_figures_of_production() -> None:
    (pool,) = loads_toml(POOL).pools
    assert [endpoint.url for endpoint in pool.endpoints] == ["http://127.0.0.1:8001/mcp"]
    assert pool.endpoints[0].weight == 100
    assert (pool.connection_pool.min_connections, pool.connection_pool.max_connections) == (5, 50)
    assert pool.connection_pool.max_idle_time == 600
    assert pool.retry_policy.max_attempts == 5
    assert pool.load_balancer.strategy == "least_connections"


def test_an_endpoint_is_a_url_or_a_table() -> None:
    text = (
        '[[pools]]\nname = "a"\n'
        'endpoints = ["http://a/mcp", {url = "http://b/mcp", weight = 200, zone = "z", priority = 1}]'
    )
    first, second = loads_toml(text).pools[0].endpoints
    assert (first.url, first.zone, first.priority) == ("http://a/mcp", None, 0)
    assert (second.url, second.weight, second.zone, second.priority) == ("http://b/mcp", 200, "z", 1)


def test_an_empty_text_has_no_pools() -> None:
    assert loads_toml("").pools == ()
    assert loads_toml("# nothing yet\n").pools == ()
    assert loads_toml("").logging.format == "text"


def test_every_problem_is_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
profile = "fast"
[retry_policy]
max_attemts = 3
max_attempts = 300
[connection_pool]
min_connections = 10
max_connections = 5
max_idle_time = 5
[[pools]]
name = "Search"
endpoints = ["http://u:p@h/mcp", {url = "http://h/mcp", wieght = 200}]
  [pools.timeouts]
  request = "5 s"
"""
    assert problems(text) == [
        'pools.toml:1: profile: "fast" is not allowed; allowed: production, development, test',
        'pools.toml:3: retry_policy.max_attemts: unknown key "max_attemts"; did you mean "max_attempts"?',
        "pools.toml:4: retry_policy.max_attempts: 300 is not allowed; allowed: a whole number from 1 to 10",
        "pools.toml:6: connection_pool.min_connections: min_connections (10) must not exceed max_connections (5)",
        "pools.toml:8: connection_pool.max_idle_time: 5 is a number without a unit; "
        'allowed: a duration such as "250ms" or "1m30s", from 1ms to 168h',
        'pools.toml:10: pools[0].name: "Search" is not allowed; '
        "allowed: a DNS label: at most 50 lower-case letters, digits and inner hyphens",
        'pools.toml:11: pools[0].endpoints[1].wieght: unknown key "wieght"; did you mean "weight"?',
        'pools.toml:11: pools[0].endpoints[0].url: "http://(hidden)@h/mcp" has a user name or password in it, and it '
        "would show in logs; allowed: a URL such as http://127.0.0.1:8001/mcp, without user name and fragment",
        'pools.toml:13: pools[0].timeouts.request: "5 s" is not a duration; allowed: a duration such as "250ms" or '
        '"1m30s", from 1ms to 168h',
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[metrics]\nport = true",
            "pools.toml:2: metrics.port: true is not allowed; allowed: a whole number from 0 to 65535",
        ),
        ('[metrics]\nenabled = "yes"', 'pools.toml:2: metrics.enabled: "yes" is not allowed; allowed: true, false'),
        (
            "[metrics]\nport = 9090.0",
            "pools.toml:2: metrics.port: 9090.0 is not allowed; allowed: a whole number from 0 to 65535",
        ),
        ("metrics = 3", "pools.toml:1: metrics: 3 is not allowed; allowed: a table"),
        ("timeouts = 3", "pools.toml:1: timeouts: 3 is not allowed; allowed: a table"),
        ("pools = 3", "pools.toml:1: pools: is not a list of tables; allowed: [[pools]]"),
        ('pools = ["a"]', 'pools.toml:1: pools[0]: "a" is not a table; allowed: [[pools]]'),
        ("profile = 3", "pools.toml:1: profile: 3 is not allowed; allowed: production, development, test"),
        (
            '[listener]\nmax_body = "4MB"',
            'pools.toml:2: listener.max_body: "4MB" is not a size; '
            'allowed: a size such as "64KiB" or "4MiB", from 1B to 1024GiB',
        ),
        (
            '[listener]\nlisten = "8080"',
            'pools.toml:2: listener.listen: "8080" is not an address to listen on; '
            "allowed: HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080",
        ),
        (
            '[listener]\nlisten = "127.0.0.1:9090"',
            "pools.toml:2: listener.listen: the admin port 9090 is listener.listen's too",
        ),
        (
            '[connection_pool]\nmax_reconnect_backoff = "500ms"',
            "pools.toml:2: connection_pool.max_reconnect_backoff: reconnect_backoff (1s) must not exceed "
            "max_reconnect_backoff (500ms)",
        ),
        (
            '[listener.tls]\ncertificate_file = "/a"\nkey_file = "/b\\u0000"',
            'pools.toml:3: listener.tls.key_file: "/b\\u0000" has a NUL character in it, which no program and no file '
            "accepts; allowed: a string of 1 to 4096 characters",
        ),
        (
            '[cache]\nsql_prefix = "a b"',
            'pools.toml:2: cache.sql_prefix: "a b" is not allowed; '
            "allowed: up to 64 letters, digits, dots, underscores, colons and hyphens",
        ),
        (
            '[metrics]\nhost = "a..b"',
            'pools.toml:2: metrics.host: "a..b" is neither an address nor a host name; '
            "allowed: an address or a host name, such as 127.0.0.1 or ::1",
        ),
        ("[metrics]\nports = 1", 'pools.toml:2: metrics.ports: unknown key "ports"; did you mean "port"?'),
        ("[timeout]\nrequest = 1", 'pools.toml:1: timeout: unknown key "timeout"; did you mean "timeouts"?'),
        (
            "[health_check]\ninterval = '1s'",
            'pools.toml:2: health_check.interval: unknown key "interval"; known keys: timeout, startup_timeout, '
            "unhealthy_threshold, healthy_threshold",
        ),
        (
            "[listener]\nport = 8080",
            'pools.toml:2: listener.port: unknown key "port"; known keys: listen, allowed_hosts, allowed_origins, '
            "external_url, tls, max_body, max_connections, max_connections_per_client, max_streams, "
            "max_streams_per_client, max_streams_per_principal, max_memory_per_client, max_memory_per_principal, "
            "sealing_keys, accepted_keys, workers",
        ),
        (
            "[retry_policy]\nrefused_statuses = [429, 200]",
            "pools.toml:2: retry_policy.refused_statuses[1]: 200 is not allowed; "
            "allowed: a whole number from 400 to 599",
        ),
        (
            "[tools.'a b']\nidempotent = true",
            'pools.toml:1: tools."a b": "a b" is not a possible name; '
            "allowed: a tool's name, or the beginning of one and a *",
        ),
    ],
)
def test_a_problem_has_line_path_value_and_allowed_values(text: str, problem: str) -> None:
    assert problems(text) == [problem]


@pytest.mark.parametrize(
    ("endpoints", "problem"),
    [
        ('["ftp://h/mcp"]', 'pools[0].endpoints[0].url: "ftp://h/mcp" does not begin with http:// or https://'),
        ('["h:8001/mcp"]', 'pools[0].endpoints[0].url: "h:8001/mcp" does not begin with http:// or https://'),
        ('["http:///mcp"]', 'pools[0].endpoints[0].url: "http:///mcp" names no host'),
        ('["http://h:99999/mcp"]', 'pools[0].endpoints[0].url: "http://h:99999/mcp" is not a URL'),
        (
            '["http://h/mcp#a"]',
            'pools[0].endpoints[0].url: "http://h/mcp#a" has a fragment (#…), which no server ever sees',
        ),
        ('["http://h /mcp"]', 'pools[0].endpoints[0].url: "http://h /mcp" has white space or control characters in it'),
        (
            '["http://h/\u65e5"]',
            'pools[0].endpoints[0].url: "http://h/\u65e5" is not ASCII: write the host as xn--…, and the rest '
            "percent-encoded",
        ),
        (
            '["http://b\u00fccher.example/mcp"]',
            'pools[0].endpoints[0].url: "http://b\u00fccher.example/mcp" is not ASCII',
        ),
        ('["http://h:0/mcp"]', 'pools[0].endpoints[0].url: "http://h:0/mcp" has port 0, on which nothing listens'),
        ('[{url = "http://h/mcp", host = "\u65e5"}]', 'pools[0].endpoints[0].host: "\u65e5" is not allowed'),
        (
            '["http://a..b/mcp"]',
            'pools[0].endpoints[0].url: "http://a..b/mcp" has a host with an empty part, or one of more than 63',
        ),
        (
            '[{url = "http://h/mcp", host = "a..b:80"}]',
            'pools[0].endpoints[0].host: "a..b:80" is not the name of a host',
        ),
        ('[{url = "http://h/mcp", host = "a b"}]', 'pools[0].endpoints[0].host: "a b" is not allowed'),
        ('[{url = "http://h/mcp", host = "a\\r\\nx: y"}]', 'pools[0].endpoints[0].host: "a\\r\\nx: y" is not allowed'),
        ('[{url = "https://h/mcp", zone = "a\\u0000"}]', 'pools[0].endpoints[0].zone: "a\\u0000" has a NUL character'),
        ('["http://h/mcp", "http://h/mcp"]', "pools[0].endpoints[1]: http://h/mcp is listed twice"),
        ("[{weight = 1}]", "pools[0].endpoints[0].url: is missing"),
        ('[{url = "http://h/mcp", draining = true}]', 'pools[0].endpoints[0].draining: unknown key "draining"'),
        ("[3]", "pools[0].endpoints[0]: 3 is not allowed"),
        ("[]", "pools[0]: has no endpoints"),
    ],
)
def test_a_bad_endpoint_is_named(endpoints: str, problem: str) -> None:
    (found,) = problems(f'[[pools]]\nname = "a"\nendpoints = {endpoints}')
    assert found.split(": ", 1)[1].startswith(problem)


def test_a_value_that_may_be_a_table_or_a_plain_one_is_refused_with_both() -> None:
    assert problems('[[pools]]\nname = "a"\nendpoints = [3]\nheaders.send.X-A = 3') == [
        "pools.toml:3: pools[0].endpoints[0]: 3 is not allowed; allowed: a URL or a table",
        "pools.toml:4: pools[0].headers.send.X-A: 3 is not allowed; allowed: a string or a table",
    ]


def test_a_key_at_the_wrong_level_gets_its_right_place() -> None:
    assert problems('endpoints = ["http://a/mcp"]\n' + POOL + "[pools.metrics]\nport = 1\n") == [
        'pools.toml:1: endpoints: "endpoints" belongs in a pool, below [[pools]]',
        'pools.toml:5: pools[0].metrics: "metrics" belongs at the top level, not in a pool',
    ]


def test_two_pools_of_one_name_are_refused_where_the_second_is() -> None:
    text = POOL + POOL.replace("8001", "8002")
    assert problems(text) == [
        'pools.toml:5: pools[1].name: "a" is the name of pools[0] already; allowed: a unique name'
    ]


def test_missing_keys_of_a_pool_are_named() -> None:
    missing, empty = problems("[[pools]]\n")
    assert missing.startswith("pools.toml:1: pools[0].name: is missing; allowed: a DNS label")
    assert empty == 'pools.toml:1: pools[0]: has no endpoints; allowed: endpoints = ["http://…/mcp"]'


def test_a_problem_of_a_top_level_section_is_reported_once_however_many_pools_have_it() -> None:
    text = "[timeouts]\nrequest = 1\n" + POOL + POOL.replace('"a"', '"b"')
    assert len(problems(text)) == 1


def test_a_contradiction_between_two_layers_is_shown_where_the_file_has_its_part() -> None:
    assert problems("[connection_pool]\nmax_connections = 3\n" + POOL) == [
        "pools.toml:2: connection_pool.max_connections: min_connections (5) must not exceed max_connections (3)"
    ]
    text = "[connection_pool]\nmin_connections = 10\n" + POOL + "[pools.connection_pool]\nmax_connections = 7\n"
    assert problems(text) == [
        "pools.toml:2: connection_pool.min_connections: min_connections (10) must not exceed max_connections (7)"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = 1\nb = \n", 'pools.toml:2:5: is not TOML: invalid value: "b ="'),
        ("[metrics]\nport = 1\nport = 2\n", "pools.toml:3: port is written twice"),
        ("[metrics]\nport = 1\n[metrics]\n", "pools.toml:3: [metrics] is written twice"),
        ('name = "never ends', "pools.toml:1: is not TOML: unterminated string"),
    ],
)
def test_invalid_toml_is_reported_with_its_line_and_column(text: str, problem: str) -> None:
    (found,) = problems(text)
    assert found.startswith(problem)


def test_a_file_that_cannot_be_read_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_toml(tmp_path)
    with pytest.raises(ConfigError, match="/dev/zero: is larger than 16 MiB"):
        load_toml("/dev/zero")
    (tmp_path / "latin.toml").write_bytes(b'a = 1\nname = "\xe9"\n')
    with pytest.raises(ConfigError, match=r"latin\.toml:2: is not UTF-8 text"):
        load_toml(tmp_path / "latin.toml")
    (tmp_path / "deep.toml").write_text("a = " + "[" * 5000 + "]" * 5000)
    with pytest.raises(ConfigError, match="nested too deeply"):
        load_toml(tmp_path / "deep.toml")


def test_only_one_source_of_endpoints_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "LATER", frozenset())
    assert problems(POOL + 'dns = "http://h/mcp"') == [
        "pools.toml:4: pools[0].dns: dns and endpoints exclude each other"
    ]
    assert problems(POOL + "replicas = 3") == [
        "pools.toml:4: pools[0].replicas: replicas has no effect without command"
    ]
    pool = loads_toml('[[pools]]\nname = "a"\ncommand = ["server", "-x"]\nreplicas = 3').pools[0]
    assert (pool.command, pool.replicas) == (("server", "-x"), 3)


def test_the_addresses_of_a_command_line_are_checked_like_those_of_a_file() -> None:
    snapshot = default_snapshot(["http://127.0.0.1:1/mcp"], listen="127.0.0.1:9", admin_port=8)
    assert (snapshot.listener.listen, snapshot.metrics.port) == ("127.0.0.1:9", 8)
    with pytest.raises(ConfigError) as refused:
        default_snapshot(["http://127.0.0.1:1/mcp"], listen="127.0.0.1:99999", admin_port=70000)
    told = "\n".join(map(str, refused.value.problems))
    assert 'command line: listener.listen: "127.0.0.1:99999"' in told
    assert "command line: metrics.port: 70000" in told


def test_a_bad_flag_is_not_blamed_on_the_file_that_it_overrules() -> None:
    with pytest.raises(ConfigError) as refused:
        loads_toml('listener.listen = "127.0.0.1:8"\n', "f.toml", {"listener": {"listen": "nope"}})
    assert str(refused.value).startswith('command line: listener.listen: "nope" is not an address')


def test_a_value_of_the_environment_has_the_name_of_its_variable() -> None:
    place, flags = ("listener", "listen"), {"listener": {"listen": "127.0.0.1:9"}}
    names = {place: "MCPPOOL_LISTEN"}
    snapshot = loads_toml('listener.listen = "127.0.0.1:8"\n', "f.toml", flags, names)
    expected = {"value": "127.0.0.1:9", "origin": "MCPPOOL_LISTEN"}
    assert settings_of(snapshot)["process"]["listener.listen"] == expected
    snapshot = default_snapshot(["http://127.0.0.1:1/mcp"], listen="127.0.0.1:9", admin_port=1, variables=names)
    assert settings_of(snapshot)["process"]["listener.listen"] == expected
    assert settings_of(snapshot)["process"]["metrics.port"]["origin"] == "command line"
    with pytest.raises(ConfigError) as refused:
        loads_toml("", "f.toml", {"listener": {"listen": "nope"}}, names)
    assert str(refused.value).startswith('MCPPOOL_LISTEN: listener.listen: "nope" is not an address')


def test_default_snapshot_is_a_pool_for_a_desk() -> None:
    snapshot = default_snapshot(["http://127.0.0.1:1/mcp", "http://127.0.0.1:2/mcp"])
    assert [pool.name for pool in snapshot.pools] == ["default"]
    assert snapshot.pools[0].connection_pool.max_connections == 5
    assert snapshot.logging.format == "text"
    with pytest.raises(ConfigError) as caught:
        default_snapshot(["127.0.0.1:1"])
    assert str(caught.value).startswith('command line: pools[0].endpoints[0].url: "127.0.0.1:1" does not begin')


def test_a_problem_without_place_is_its_message() -> None:
    assert str(Problem("", "is odd")) == "is odd"
    assert (
        str(Problem("a.b", "is odd", 1, "even numbers", 3, "f.toml")) == "f.toml:3: a.b: is odd; allowed: even numbers"
    )


def test_the_test_profile_repeats_its_random_choices() -> None:
    assert loads_toml('profile = "test"').seed == 0
    assert Snapshot().seed is None


def test_the_memory_limit_of_the_process_is_at_the_top_level_beside_the_limits_of_all_pools() -> None:
    snapshot = loads_toml(f'[limits]\nmemory = "512MiB"\n[limits.pool]\nmax_concurrent = 7\n{POOL}')
    assert snapshot.limits.memory == 512 << 20
    assert snapshot.pools[0].limits.pool is not None
    assert snapshot.pools[0].limits.pool.max_concurrent == 7
    assert read_snapshot(render_snapshot(snapshot)).limits.memory == 512 << 20


def test_the_memory_of_the_process_is_refused_in_a_pool_and_sent_to_where_it_belongs() -> None:
    (problem,) = problems(f'{POOL}[pools.limits]\nmemory = "512MiB"\n')
    assert '"memory" belongs in [limits] at the top level' in problem


@pytest.mark.parametrize("value", ['"1MiB"', "100", '"much"', "true"])
def test_an_invalid_memory_limit_is_refused_with_the_allowed_values(value: str) -> None:
    (problem,) = problems(f"[limits]\nmemory = {value}\n")
    assert "limits.memory" in problem
    assert "64MiB" in problem
