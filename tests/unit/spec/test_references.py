"""References to variables and files in a configuration file, and reports that do not show their values."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.spec import ConfigError, Snapshot, load_toml, loads_toml
from mcppool.spec.explain import settings_of
from mcppool.spec.generate.json_schema import file_schema
from mcppool.spec.references import MAX_FILE, files_in, read_referenced, resolve

SECRET = "hunter2-hunter2-hunter2"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return path


def pool(line: str = "", endpoints: str = '["http://127.0.0.1:8001/mcp"]') -> str:
    return f'{line}\n[[pools]]\nname = "a"\nendpoints = {endpoints}\n'


def shown(snapshot: Snapshot) -> str:
    return json.dumps(settings_of(snapshot), ensure_ascii=False)


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        loads_toml(text, "pools.toml")
    return [str(problem) for problem in refused.value.problems]


def resolved(data: Any, **variables: str) -> Any:
    return resolve(data, variables.get, read_referenced)[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "a"),
        ("x${A}y${B}z", "xaybz"),
        ("${A:-other}", "a"),
        ("${NONE:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("${NONE:-a:-b}", "a:-b"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A $(A) {A} 5$", "$A $(A) {A} 5$"),
    ],
)
def test_a_reference_is_replaced_by_its_value(text: str, value: str) -> None:
    variables = {"A": "a", "B": "b", "EMPTY": ""}
    assert resolved(text, **variables) == value


def test_strings_at_any_depth_have_references_and_nothing_else_has() -> None:
    data = {"${A}": [1, True, {"b": ["${A}"]}]}
    assert resolved(data, A="x") == {"${A}": [1, True, {"b": ["x"]}]}


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    value, references = resolve(text, lambda name: None, read_referenced)
    assert references.mistakes or value == text.replace("$${", "${") or "${" in text


@given(st.text(alphabet=st.characters(exclude_characters="$"), max_size=40))
def test_an_escaped_text_is_itself(text: str) -> None:
    assert resolved("$${" + text + "}") == "${" + text + "}"


def test_a_file_is_read_without_its_last_line_break(tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_text("two\nlines\r\n\n")
    assert resolved(f"<${{file:{path}}}>") == "<two\nlines>"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("${NOT_SET_ANYWHERE}", "the environment variable NOT_SET_ANYWHERE is not set; allowed: set it, "),
        ("${file:{folder}/none}", 'none" cannot be read: No such file or directory'),
        ("${file:{folder}}", '" cannot be read: '),
        ("${file:{folder}/pipe}", 'pipe" cannot be read: Not a regular file'),
        ("${file:{folder}/big}", 'big" has more than 65536 bytes'),
        ("${file:{folder}/bytes}", 'bytes" is not UTF-8 text'),
        ("${1A}", '"${1A}" is not a reference; allowed: ${NAME}, ${NAME:-default}, ${file:/a/path}'),
        ("${}", '"${}" is not a reference'),
        ("${A-b}", '"${A-b}" is not a reference'),
        ("${A", '"${A" has no }; allowed: '),
    ],
)  # fmt: skip
def test_a_reference_without_a_value_is_reported_once_with_its_key_and_line(
    written: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "big").write_text("x" * (MAX_FILE + 1))
    (tmp_path / "bytes").write_bytes(b"\xff")
    os.mkfifo(tmp_path / "pipe")
    value = written.replace("{folder}", str(tmp_path))
    (problem,) = problems(pool(endpoints=f"['http://127.0.0.1:1/mcp', '{value}']"))
    assert problem.startswith("pools.toml:4: pools[0].endpoints[1]")
    assert told in problem


def test_a_value_that_is_not_allowed_is_reported_by_its_reference(
    monkeypatch: pytest.MonkeyPatch, secret: Path
) -> None:
    monkeypatch.setenv("ADDRESS", SECRET)
    found = [
        *problems(pool(endpoints='["${ADDRESS}"]')),
        *problems(pool(f'listener.listen = "${{file:{secret}}}"')),
        *problems(pool(f'retry_policy.preset = "${{file:{secret}}}"')),
        *problems(pool(f'timeouts.request = "1s ${{file:{secret}}}"')),
        *problems(pool(f'profile = "x${{file:{secret}}}"')),
        *problems(pool(f'listener.allowed_hosts = ["a b ${{file:{secret}}}"]\nmetrics.port = "${{ADDRESS}}"')),
    ]
    assert not any(SECRET in problem for problem in found)
    assert "${ADDRESS}" in found[0]
    assert all("${" in problem for problem in found)


def test_no_report_shows_the_value_of_a_reference(monkeypatch: pytest.MonkeyPatch, secret: Path) -> None:
    monkeypatch.setenv("HOST", SECRET)
    monkeypatch.setenv("A_TOKEN", SECRET)
    reference = f"${{file:{secret}}}"
    snapshot = loads_toml(
        f"""
listener.allowed_hosts = ["${{HOST}}", "plain.example"]
cache = {{type = "redis", redis_url = "redis://${{HOST}}:6379"}}
[[pools]]
name = "a"
endpoints = ["http://h/{reference}/mcp", {{url = "http://i/${{A_TOKEN}}"}}, "https://u.example/?key=${{HOST}}"]
headers.send.X-A = "Bearer {reference}"
[[pools]]
name = "b"
command = ["server", "--key", "{reference}", "--plain"]
env = {{KEY = "{reference}"}}
"""
    )
    first, second = snapshot.pools
    assert first.endpoints[0].url == f"http://h/{SECRET}/mcp"
    assert first.headers.send["X-A"].value == f"Bearer {SECRET}"
    assert second.command == ("server", "--key", SECRET, "--plain")
    assert second.env == {"KEY": SECRET}
    report = shown(snapshot)
    assert SECRET not in report
    settings = settings_of(snapshot)
    assert settings["pools"]["a"]["endpoints[0].url"]["value"] == f"http://h/{reference}/mcp"
    assert settings["pools"]["b"]["command"]["value"] == ["server", "--key", reference, "--plain"]
    assert settings["process"]["listener.allowed_hosts"]["value"] == ["${HOST}", "plain.example"]
    assert not any(SECRET in endpoint.key for endpoint in first.endpoints)
    assert len({endpoint.key for endpoint in first.endpoints}) == 3


def test_an_address_from_a_variable_names_its_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEARCH_URL", "http://127.0.0.1:8001/mcp")
    (endpoint,) = loads_toml(pool(endpoints='["${SEARCH_URL}"]')).pools[0].endpoints
    assert endpoint.key == "http://127.0.0.1:8001/mcp"


def test_a_default_is_not_shown_either() -> None:
    report = shown(loads_toml(pool(f'cache = {{type = "redis", redis_url = "redis://${{NO_SUCH:-{SECRET}}}"}}')))
    assert SECRET not in report
    assert "redis://${NO_SUCH}" in report


def test_a_reference_stands_for_its_own_setting_and_not_for_those_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "h.example")
    text = '[[pools]]\nname = "a"\nendpoints = ["http://${HOST}/mcp"]\nheaders.send.X-A = "${HOST}"\n'
    settings = settings_of(loads_toml(text))["pools"]["a"]
    beside = ("endpoints[0].url", "endpoints[0].weight", "endpoints[0].priority", "headers.send.X-A.prefix")
    assert [settings[path]["value"] for path in beside] == ["http://${HOST}/mcp", 100, 0, ""]


@pytest.mark.parametrize(
    "line",
    [
        'metrics.port = "${PORT}"',
        'tracing.enabled = "${PORT}"',
        'pools = [{name = "a", load_balancer = {panic_threshold_percent = "${PORT}"}}]',
    ],
)
def test_a_number_or_boolean_from_a_reference_is_refused_with_the_reason(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "1")
    with pytest.raises(ConfigError, match=r'"\$\{PORT\}" is not allowed: a reference gives a text'):
        loads_toml(line)


def test_the_files_of_a_text_are_found() -> None:
    assert files_in('a = "${file:/a}${B}"\nb = "$${file:/c} ${file:d}"') == ["/a", "d"]


def test_the_schema_for_editors_takes_references(tmp_path: Path) -> None:
    validator = jsonschema.Draft202012Validator(file_schema())
    document = {
        "profile": "${PROFILE}",
        "timeouts": {"request": "${TIME}"},
        "pools": [{"name": "${NAME}", "endpoints": [{"url": "${URL}"}]}],
    }
    validator.validate(document)
    assert not validator.is_valid({**document, "profile": "produktion"})


def test_the_library_reads_references_of_a_file_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NAME", "named")
    path = tmp_path / "pools.toml"
    path.write_text('[[pools]]\nname = "${NAME}"\nendpoints = ["http://127.0.0.1:1/mcp"]\n')
    assert load_toml(path).pools[0].name == "named"
