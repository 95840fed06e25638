"""`mcppool check --as`: the permissions of a client, and the reasons."""

from __future__ import annotations

import base64
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mcppool.access.key_file import ApiKey, render_key
from mcppool.cli import check
from tests.issuer import Issuer
from tests.unit.cli.running import run_command

POOLS = """
[[pools]]
name = "tickets"
endpoints = ["http://127.0.0.1:8001/mcp"]
[pools.auth.inbound]
type = "api_keys"
api_keys = {{keys_file = "{keys}"}}
[[pools.access.allow]]
name = "readers"
scopes = ["read"]
tools = ["search_*"]
[[pools.access.allow]]
name = "support"
groups = ["support"]
tools = ["*", "!delete_*"]
[[pools.access.deny]]
name = "no-exec"
tools = ["exec"]
"""
run = partial(run_command, check)
CLAIMS = {"sub": "ann", "scope": "read write", "groups": ["support"]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    keys = tmp_path / "keys.toml"
    keys.write_text(render_key(ApiKey("bob", bytes(32), scopes=("read",))))
    path = tmp_path / "pools.toml"
    path.write_text(POOLS.format(keys=keys))
    return path


def allowed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, tuple[bool, str]]:
    """By the name of each tool: whether the client may call it, and the reason."""
    assert run(*arguments, "--json") == 0
    (pool,) = json.loads(capsys.readouterr().out)["pools"]
    return {row["name"]: (row["allowed"], row["why"]) for row in pool["may"] if row["kind"] == "tool"}


def test_claims_a_token_and_standard_input_say_the_same(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = tmp_path / "claims.json"
    claims.write_text(json.dumps(CLAIMS))
    part = base64.urlsafe_b64encode(json.dumps(CLAIMS).encode()).decode().rstrip("=")
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(CLAIMS)))
    for who in (str(claims), f"eyJhbGciOiJub25lIn0.{part}.sig", "-"):
        assert allowed(capsys, str(file), "--as", who) == {
            "search_*": (True, "readers"),
            "delete_*": (False, "no rule allows it"),
            "exec": (False, "no-exec"),
            "(any other)": (True, "support"),
        }


def test_a_key_is_named_by_its_name(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert allowed(capsys, str(file), "--as", "bob") == {
        "search_*": (True, "readers"),
        "delete_*": (False, "no rule allows it"),
        "exec": (False, "no-exec"),
        "(any other)": (False, "no rule allows it"),
    }


def test_people_get_lines(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(file), "--as", "bob") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["tickets", "(enforce):", "bob,", "scopes", "read"]
    assert ["tool", "search_*", "allowed", "readers"] in lines
    assert ["resource", "(any", "other)", "refused", "no", "rule", "allows", "it"] in lines


@pytest.mark.parametrize("who", ["nobody", "eyJ.!.x", "ey.ZZZ.x"])
def test_an_unknown_client_is_reported(file: Path, who: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(str(file), "--as", who) == 2
    assert "mcppool check: --as: " in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[1]", "3", "{", ""])
def test_a_file_without_claims_is_reported(
    file: Path, tmp_path: Path, text: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    claims = tmp_path / "claims.json"
    claims.write_text(text)
    assert run(str(file), "--as", str(claims)) == 2
    assert capsys.readouterr().err


def test_claims_are_read_as_the_pool_reads_those_of_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "jwks.json").write_bytes(Issuer().jwks)
    path = tmp_path / "pools.toml"
    path.write_text(f"""
[[pools]]
name = "tickets"
endpoints = ["http://127.0.0.1:8001/mcp"]
[pools.auth.inbound]
type = "jwt"
resource = "https://mcp.example.com/mcp"
required_scopes = ["mcp"]
[[pools.auth.inbound.jwt.issuers]]
issuer = "https://id.example.com"
jwks_file = "{tmp_path}/jwks.json"
groups_claim = "roles"
[[pools.access.allow]]
name = "ops"
groups = ["ops"]
scopes = ["write"]
tools = ["exec"]
""")
    claims = tmp_path / "claims.json"
    claims.write_text('{"iss": "https://id.example.com", "roles": ["ops"], "scope": "mcp"}')
    assert allowed(capsys, str(path), "--as", str(claims))["exec"] == (False, "needs the scope write")
    claims.write_text('{"roles": ["ops"], "scope": "mcp write"}')
    assert allowed(capsys, str(path), "--as", str(claims))["exec"] == (True, "ops")
    claims.write_text('{"roles": ["ops"], "scope": "write"}')
    assert run(str(path), "--as", str(claims)) == 0
    assert "refused  needs the scope mcp" in capsys.readouterr().out
