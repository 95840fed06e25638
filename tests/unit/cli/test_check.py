"""`mcppool check`: its output and its exit status."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path

import pytest

from mcppool.cli import check
from mcppool.pipeline.pool import requirements
from mcppool.wire.sealing import generate_key_line
from tests.unit.cli.running import run_command

GOOD = '[connection_pool]\nmax_connections = 20\n[[pools]]\nname = "a"\nendpoints = ["http://a/mcp"]\n'


run = partial(run_command, check)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "pools.toml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "pools.toml"
    path.write_text(GOOD.replace("20", "0") + "weird = 1\n")
    return path


def test_a_good_file_gets_ok_and_its_settings_with_their_origins(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(good)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{good}: ok: 1 pool, profile production"
    values = [line.split() for line in lines]
    assert ["connection_pool.max_connections", "=", "20", f"{good}:2"] in values
    assert ["connection_pool.min_connections", "=", "5", "default"] in values


def test_quiet_prints_one_line(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--quiet", str(good)) == 0
    assert capsys.readouterr().out == f"{good}: ok: 1 pool, profile production\n"


def test_a_bad_file_gets_every_problem_and_status_1(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(bad)) == 1
    output = capsys.readouterr()
    assert [line.split(": ")[1] for line in output.out.splitlines()] == [
        "connection_pool.max_connections",
        "pools[0].weird",
    ]
    assert output.err == f"{bad}: 2 problems\n"


def test_a_missing_file_is_a_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(tmp_path / "none.toml")) == 2
    assert "no such file" in capsys.readouterr().err


def test_a_directory_is_a_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(tmp_path)) == 2
    assert "is a directory" in capsys.readouterr().err


def test_json_of_a_good_file_holds_values_and_origins(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", str(good)) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["profile"]) == (True, "production")
    assert report["pools"]["a"]["connection_pool.max_connections"] == {"value": 20, "origin": f"{good}:2"}
    assert report["process"]["metrics.port"]["value"] == 9090


def test_json_of_a_bad_file_holds_the_problems(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", str(bad)) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert report["problems"][0] == {
        "source": str(bad),
        "line": 2,
        "column": None,
        "path": "connection_pool.max_connections",
        "message": "0 is not allowed",
        "value": 0,
        "allowed": "a whole number from 1 to 10000",
    }


def test_an_empty_file_is_valid_and_gets_a_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pools.toml"
    path.write_text("")
    assert run("--quiet", str(path)) == 0
    assert "[[pools]]" in capsys.readouterr().out


def test_standard_input_is_read_where_the_file_is_a_hyphen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    assert run("--quiet", "-") == 0
    assert capsys.readouterr().out == "standard input: ok: 1 pool, profile production\n"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('listener.sealing_keys = "{missing}"', "listener.sealing_keys"),
        ('listener.tls = {{certificate_file = "{missing}", key_file = "k"}}', "listener.tls.certificate_file"),
        ('metrics.tls = {{certificate_file = "{missing}", key_file = "k"}}', "metrics.tls.certificate_file"),
        ('tls.ca_file = "{missing}"', "pools.a.tls.ca_file"),
        ('audit = {{type = "otlp", otlp = {{url = "http://c", ca_file = "{missing}"}}}}', "pools.a.audit.otlp.ca_file"),
        (
            'audit = {{type = "otlp", otlp = {{url = "http://c", headers.X-A.value_file = "{missing}"}}}}',
            "pools.a.audit.otlp.headers.X-A",
        ),
        (
            'cache = {{type = "redis", redis_url = "redis://r", redis_password_file = "{missing}"}}',
            "pools.a.cache.redis_password_file",
        ),
        (
            'cache = {{type = "sql", sql_url = "postgresql://d", sql_password_file = "{missing}"}}',
            "pools.a.cache.sql_password_file",
        ),
        (
            'cache = {{type = "sql", sql_url = "postgresql://d", sql_ca_file = "{missing}"}}',
            "pools.a.cache.sql_ca_file",
        ),
        ('headers.send.Authorization.value_file = "{missing}"', "pools.a.headers.send.Authorization"),
    ],
)
def test_a_missing_file_is_reported_with_its_key_and_line(
    line: str, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pools.toml"
    path.write_text(line.format(missing=tmp_path / "none") + "\n" + GOOD)
    assert run(str(path)) == 1
    problem = capsys.readouterr().out
    assert problem.startswith(f"{path}:1: ")
    assert f" {key}: " in problem
    assert "No such file" in problem
    assert str(tmp_path / "none") in problem


@pytest.mark.parametrize(
    ("line", "package", "extra"),
    [
        ('cache = {type = "redis", redis_url = "redis://r"}', "redis", "redis"),
        ('audit = {type = "otlp", otlp = {url = "http://c"}}', "opentelemetry", "otel"),
        ('tracing = {enabled = true, protocol = "grpc"}', "grpc", "otel-grpc"),
    ],
)
def test_a_missing_extra_is_reported_with_the_command_that_installs_it(
    line: str, package: str, extra: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def without(name: str) -> object:
        if name.startswith(f"{package}."):
            raise ModuleNotFoundError(name)  # as Python does where the package around it is missing
        return None if name == package else True

    monkeypatch.setattr(requirements, "find_spec", without)
    path = tmp_path / "pools.toml"
    path.write_text(line + "\n" + GOOD)
    assert run(str(path)) == 1
    assert f"pip install 'mcp-server-pool[{extra}]'" in capsys.readouterr().out


def test_a_header_of_an_endpoint_without_a_value_is_reported_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    path = tmp_path / "pools.toml"
    endpoint = '{url = "http://a/mcp", headers = {Authorization = {value_env = "TOKEN"}}}'
    path.write_text(f'[[pools]]\nname = "a"\nendpoints = ["http://b/mcp", {endpoint}]\n')
    assert run(str(path)) == 1
    problem = capsys.readouterr().out
    assert problem.startswith(f"{path}:3: pools.a.endpoints[1].headers.Authorization: ")
    assert "TOKEN is not set" in problem
    monkeypatch.setenv("TOKEN", "t")
    assert run(str(path)) == 0


def test_a_missing_requirement_of_a_local_server_is_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    path = tmp_path / "pools.toml"
    path.write_text('[[pools]]\nname = "a"\ncommand = ["no-such-program"]\nreplicas = 1\nenv_from = ["TOKEN"]\n')
    assert run("--quiet", str(path)) == 0
    notes = capsys.readouterr().out.splitlines()[1:]
    assert notes == [
        "note: pool a: the program no-such-program is not found",
        "note: pool a: the environment variable TOKEN of env_from is not set",
    ]


def test_zone_preference_needs_a_zone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MCPPOOL_ZONE", raising=False)
    path = tmp_path / "pools.toml"
    path.write_text('load_balancer.zone_preference = "prefer_local"\n' + GOOD)
    assert run(str(path)) == 1
    problem = capsys.readouterr().out
    assert "load_balancer.zone_preference" in problem
    assert "gateway.zone" in problem
    assert "MCPPOOL_ZONE" in problem
    path.write_text('gateway.zone = "a"\n' + path.read_text())
    assert run(str(path)) == 0
    path.write_text('load_balancer.zone_preference = "prefer_local"\n' + GOOD)
    monkeypatch.setenv("MCPPOOL_ZONE", "a")
    assert run(str(path)) == 0


def test_one_principal_for_all_clients_is_no_key_to_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pools.toml"
    path.write_text('load_balancer.strategy = "consistent_hash"\n' + GOOD)
    assert run(str(path)) == 1
    problem = capsys.readouterr().out
    assert "load_balancer.hash_key" in problem
    assert "use tool or header:NAME" in problem
    path.write_text('load_balancer = {strategy = "consistent_hash", hash_key = "tool"}\n' + GOOD)
    assert run(str(path)) == 0


REDIS = '[[pools]]\nname = "p"\nendpoints = ["http://a/mcp"]\n[pools.cache]\ntype = "redis"\nredis_url = "redis://h"\n'


def test_redis_without_a_key_file_causes_a_note_that_it_shares_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pools.toml"
    keys = tmp_path / "keys"
    keys.write_text(generate_key_line(0.0))
    for text, said in ((REDIS, True), (f'[listener]\nsealing_keys = "{keys}"\n{REDIS}', False)):
        file.write_text(text)
        assert run("--quiet", str(file)) == 0
        out = capsys.readouterr().out
        assert ("other gateways cannot read it" in out and "listener.sealing_keys" in out) is said


@pytest.mark.parametrize(
    ("listen", "auth", "accepted"),
    [
        ("127.0.0.1:8080", "", True),
        ("[::1]:8080", "", True),
        ("0.0.0.0:8080", "", False),
        ("mcp.example:8080", "required_scopes = []", False),
        ("0.0.0.0:8080", 'type = "none"', True),
    ],
)
def test_a_pool_for_everybody_must_be_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], listen: str, auth: str, accepted: bool
) -> None:
    path = tmp_path / "pools.toml"
    path.write_text(f'{GOOD}[pools.auth.inbound]\n{auth}\n[listener]\nlisten = "{listen}"\n')
    assert run("--quiet", str(path)) == (0 if accepted else 1)
    if not accepted:
        told = capsys.readouterr().out
        assert "auth.inbound.type: must be set" in told
        assert f"listens on {listen}" in told


def test_a_missing_file_of_keys_is_reported_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pools.toml"
    path.write_text(f'{GOOD}[pools.auth.inbound]\ntype = "api_keys"\napi_keys = {{keys_file = "{tmp_path}/none"}}\n')
    assert run("--quiet", str(path)) == 1
    assert f"{path}:8: pools.a.auth.inbound.api_keys.keys_file: cannot be used: " in capsys.readouterr().out


def test_tokens_need_to_know_what_they_are_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pools.toml"
    jwt = '[pools.auth.inbound]\ntype = "jwt"\njwt = {issuers = [{issuer = "https://id.example"}]}\n'
    listener = '[listener]\nlisten = "0.0.0.0:8080"\n'
    path.write_text(GOOD + jwt + listener)
    assert run("--quiet", str(path)) == 1
    assert 'listener.external_url = "https://mcp.example.com"' in capsys.readouterr().out
    path.write_text(GOOD + jwt + listener + 'external_url = "https://mcp.example.com"\n')
    assert run("--quiet", str(path)) == 0


@pytest.mark.parametrize(
    ("url", "more", "told"),
    [
        ("https://mcp.example.com/mcp", "", ""),
        ("http://127.0.0.1:1/mcp", "", ""),
        ("http://10.0.0.7:8000/mcp", "", ""),
        ("http://search.default.svc:8000/mcp", "", ""),
        ("http://mcp.example.com/mcp", "", "would get the credentials of clients in clear"),
        ("http://8.8.8.8/mcp", "", "would get the credentials of clients in clear"),
        ("https://a.example/mcp", '[pools.headers.send]\nAuthorization = "Bearer x"\n', "sets Authorization"),
        (
            "https://a.example/mcp",
            '[pools.auth.outbound]\ntype = "token"\ntoken = {token_file = "/x"}\n',
            "the servers would get the client's credentials and the gateway's",
        ),
    ],
)
def test_the_credentials_of_clients_go_to_servers_over_tls_or_inside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, more: str, told: str
) -> None:
    path = tmp_path / "pools.toml"
    path.write_text(GOOD.replace("http://a/mcp", url) + '[pools.auth.inbound]\ntype = "passthrough"\n' + more)
    assert run("--quiet", str(path)) == (1 if told else 0), capsys.readouterr().out
    assert told in capsys.readouterr().out


def test_an_audit_log_that_cannot_be_written_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pools.toml"
    for file, why in ((tmp_path / "none/audit.jsonl", "there is no folder"), (tmp_path / "folder", "it is a folder")):
        (tmp_path / "folder").mkdir(exist_ok=True)
        path.write_text(f'{GOOD}audit = {{type = "file", file = "{file}"}}\n')
        assert run(str(path)) == 1
        assert f"audit.file: cannot be written: {why}" in capsys.readouterr().out
    path.write_text(f'{GOOD}audit = {{type = "file", file = "{tmp_path}/audit.jsonl"}}\n')
    assert run(str(path)) == 0
    assert not (tmp_path / "audit.jsonl").exists()
