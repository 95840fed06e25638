"""`mcppool tools`, `resources`, `prompts`, `call` and `ping`, at servers of both eras."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcppool.cli.main import main
from tests.conftest import GatewayFactory
from tests.integration.keyed_clients import add_key
from tests.integration.test_stdio import SERVER
from tests.servers import ServerProcess, pool_toml, sdk1_replica, sdk2_replica
from tests.servers.process import serving


@pytest.fixture(params=[sdk2_replica, sdk1_replica], ids=["modern", "legacy"], scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    replica: Callable[[str], ServerProcess] = request.param
    with serving(replica("a")) as (one,):
        yield one.url


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs the command: exit status, output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main([*arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


Run = Callable[..., tuple[int, str, str]]


def test_the_tools_of_a_server_are_a_table_or_json(server: str, run: Run) -> None:
    status, text, said = run("tools", server)
    assert (status, said) == (0, "")
    rows = {line.split()[0]: line for line in text.splitlines()}
    assert "a b" in rows["add"]
    status, text, _ = run("tools", server, "-o", "json")
    assert {tool["name"] for tool in json.loads(text)["tools"]} == rows.keys() - {"NAME"}
    status, text, _ = run("tools", server, "add", "-o", "json")
    assert json.loads(text)["inputSchema"]["required"] == ["a", "b"]
    status, text, said = run("tools", server, "ad")
    assert (status, text) == (1, "")
    assert "no tool 'ad'; did you mean add?" in said


def test_a_call_has_arguments_of_the_types_of_the_schema(server: str, run: Run) -> None:
    status, text, said = run("call", server, "add", "a=20", "b=22", "-o", "text")
    assert (status, text, said) == (0, "42\n", "")
    status, text, _ = run("call", server, "add", "b=22", "--json", '{"a": 20}')
    assert json.loads(text)["content"][0]["text"] == "42"
    status, text, said = run("call", server, "add", "a=many", "b=1")
    assert (status, text) == (2, "")
    assert "a: 'many' is not allowed; the tool's schema wants: integer" in said
    status, _, said = run("call", server, "ad", "a=1")
    assert status == 1
    assert "no tool 'ad'; did you mean add?" in said


def test_arguments_come_from_a_file(server: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "arguments.json"
    file.write_text('{"a": 1, "b": 2}')
    status, text, _ = run("call", server, "add", "-o", "text", "--json", f"@{file}")
    assert (status, text) == (0, "3\n")
    status, _, said = run("call", server, "add", "--json", f"@{tmp_path / 'none'}")
    assert status == 2
    assert "cannot be read" in said


def test_a_ping_tells_what_the_server_is(server: str, run: Run) -> None:
    status, text, _ = run("ping", server, "--count", "2", "-o", "json")
    assert status == 0
    about = json.loads(text)
    assert len(about["milliseconds"]) == 2
    assert (about["era"], about["protocolVersion"]) in (("modern", "2026-07-28"), ("legacy", "2025-11-25"))
    assert about["name"]
    assert "tools" in about["capabilities"]
    status, text, _ = run("ping", server)
    assert about["name"] in text
    assert "answers in " in text


def test_resources_and_prompts_are_listed(server: str, run: Run) -> None:
    status, text, _ = run("resources", server, "-o", "json")
    assert status == 0
    resources = json.loads(text)["resources"]
    status, text, _ = run("resources", server)
    assert all(resource["uri"] in text for resource in resources)
    for resource in resources:
        assert run("resources", server, resource["uri"])[0] == 0
    status, text, _ = run("prompts", server, "-o", "json")
    assert status == 0
    prompts = json.loads(text)["prompts"]
    assert all(prompt["name"] in run("prompts", server)[1] for prompt in prompts)
    for prompt in prompts:
        status, text, _ = run("prompts", server, prompt["name"], *(f"{one['name']}=Ann" for one in prompt["arguments"]))
        assert status == 0
        assert "Ann" in text


def test_mistyped_prompts_and_arguments_of_prompts_are_named(run: Run) -> None:
    with serving(sdk2_replica("a")) as (server,):
        status, _, said = run("prompts", server.url, "greting", "who=Ann")
        assert status == 1
        assert "no prompt 'greting'; did you mean greeting?" in said
        status, _, said = run("prompts", server.url, "greeting", "who=Ann", "wo=Bob")
        assert "note: the prompt has no argument 'wo'; did you mean who?" in said


def test_a_local_program_is_a_server(run: Run) -> None:
    status, text, _ = run("call", "add", "a=1", "b=2", "-o", "text", "--", sys.executable, SERVER)
    assert (status, text) == (0, "3\n")


def test_the_last_words_of_a_program_that_ends_are_shown_and_no_traceback_of_ours() -> None:
    program = "import sys; print('reading the settings', file=sys.stderr); sys.exit('the database is not there')"
    command = [sys.executable, "-m", "mcppool", "tools", "--", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "it exited with code 1" in done.stderr
    assert {"  it wrote: reading the settings", "  it wrote: the database is not there"} <= set(
        done.stderr.splitlines()
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("server", [sdk2_replica], ids=["modern"], indirect=True)
def test_a_token_opens_the_door_and_a_pool_of_a_file_is_a_server(
    server: str, run: Run, gateway: GatewayFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys.toml"
    key = add_key(file, "ci")
    sections = f'[pools.auth.inbound]\ntype = "api_keys"\napi_keys = {{keys_file = "{file}"}}\n'
    front = gateway(pool_toml(server, sections=sections))
    status, text, said = run("tools", front.url)
    assert (status, text) == (1, "")
    assert "401" in said
    assert "give a credential with --token-file or --header" in said
    held = tmp_path / "key"
    held.write_text(key)
    for flags in (("--token", key), ("--token-file", str(held)), ("--header", f"Authorization: Bearer {key}")):
        assert run("tools", front.url, *flags)[0] == 0
    monkeypatch.setenv("MCPPOOL_TOKEN", key)
    assert run("tools", front.url)[0] == 0
    pools = tmp_path / "both.toml"
    pools.write_text(pool_toml(server, name="one") + pool_toml(server, name="two"))
    assert run("tools", str(pools), "--pool", "two")[0] == 0
    status, _, said = run("tools", str(pools))
    assert status == 2
    assert "allowed: one, two" in said


def test_an_error_is_json_for_programs(run: Run) -> None:
    status, text, said = run("tools", "http://127.0.0.1:1/mcp", "-o", "json")
    assert status == 1
    assert json.loads(text)["data"]["delivered"] == "no"
    assert "connection refused" in said
