"""The processes of local servers: their environment, their end, and its report."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.stdio_helpers import ODD, answered, odd, value_of
from tests.integration.test_stdio import children, pool, runs
from tests.waiting import until
from tests.written_lines import written_json


def noted(log: Path, what: str) -> list[Any]:
    """The entries of `log` by the programs."""
    return [line[what] for line in written_json(log) if what in line]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
async def test_programs_and_their_children_end_with_the_gateway(
    gateway: GatewayFactory, http: aiohttp.ClientSession, tmp_path: Path, number: int
) -> None:
    log = tmp_path / "log"
    front = await asyncio.to_thread(gateway, odd("--offspring", "--log", str(log), replicas=2))
    await answered(http, front, modern=False)
    offspring = noted(log, "offspring")
    started = children(front.pid) | set(offspring)
    assert len([pid for pid in offspring if runs(pid)]) >= 4
    if number == signal.SIGKILL:
        front.kill()
    else:
        await asyncio.to_thread(front.terminate)
    await until(lambda: not [pid for pid in started if runs(pid)], "all are gone")


async def test_the_end_of_a_session_ends_the_children_of_its_program(
    gateway: GatewayFactory, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    front = await asyncio.to_thread(gateway, odd("--offspring", "--log", str(log)))
    caller = await answered(http, front, modern=False)
    pid = value_of(await caller.call("pid"))
    lines = written_json(log)
    own = [line["offspring"] for line in lines if line["pid"] == pid and "offspring" in line]
    assert len(own) == 2
    assert all(runs(child) for child in own)
    headers = {"Mcp-Session-Id": caller.session, "MCP-Protocol-Version": "2025-11-25"}
    async with http.delete(front.url, headers=headers) as response:
        assert response.status == 200
    await until(lambda: not any(runs(child) for child in (pid, *own)), "the program and its offspring have ended")


@pytest.mark.parametrize("modern", [True, False], ids=["modern", "legacy"])
@pytest.mark.parametrize(
    ("how", "said"), [({"code": 7}, "exited with code 7"), ({"signal": int(signal.SIGSEGV)}, "ended by SIGSEGV")]
)
async def test_an_exit_is_reported_at_once_even_if_a_child_holds_the_output(
    gateway: GatewayFactory, http: aiohttp.ClientSession, tmp_path: Path, *, modern: bool, how: Any, said: str
) -> None:
    log = tmp_path / "log"
    text = odd("--modern", "--offspring", "--log", str(log))
    front = await asyncio.to_thread(gateway, text)
    caller = await answered(http, front, modern=modern)
    caller._logs = False
    offspring = noted(log, "offspring")
    pid = value_of(await caller.call("pid"))
    error = value_of(await caller.call("die", **how))
    assert error["data"]["reason"] == "connection_lost"
    assert error["data"]["delivered"] == "unknown"
    lines = written_json(log)
    own = [line["offspring"] for line in lines if line["pid"] == pid and "offspring" in line]
    assert set(own) <= set(offspring)
    await until(lambda: not any(runs(child) for child in own), "its offspring has ended, too")
    if modern:
        await until(lambda: said in front.log, "the log says how")
    again = await answered(http, front, modern=modern)
    assert value_of(await again.call("pid")) != pid


async def test_a_program_gets_only_a_small_environment_and_the_variables_of_its_pool(
    gateway: GatewayFactory, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {"MY_SECRET": "s3cret", "TOKEN_ONE": "1", "TOKEN_TWO": "2", "GIVEN": "ours", "TZ": "UTC", "LC_TIME": "C"}
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    more = 'env = {GIVEN = "theirs", EXTRA = "a b"}\nenv_from = ["TOKEN_*", "NOT_THERE", "GIVEN"]'
    front = await asyncio.to_thread(gateway, odd("--modern", more=more))
    caller = await answered(http, front, modern=True)
    environment = value_of(await caller.call("env"))
    assert "MY_SECRET" not in environment
    wanted = {"TOKEN_ONE": "1", "TOKEN_TWO": "2", "GIVEN": "theirs", "EXTRA": "a b", "TZ": "UTC", "LC_TIME": "C"}
    assert {name: environment.get(name) for name in wanted} == wanted
    assert environment["PATH"] == os.environ["PATH"]
    assert environment["HOME"] == os.environ["HOME"]
    base = {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LANG", "LANGUAGE", "TMPDIR", "MCPPOOL_PROCESS"}
    unknown = {n for n in environment if n not in base | set(wanted) and not n.startswith(("LC_", "XDG_"))}
    assert not unknown - {"PWD", "SHLVL", "_", "__CF_USER_TEXT_ENCODING"}
    await until(lambda: "variable_missing" in front.log and "NOT_THERE" in front.log, "told of")


@pytest.mark.parametrize("value", ['env = {"A=B" = "1"}', 'env = {"" = "1"}', 'env_from = ["A-B"]'])
def test_names_that_no_variable_can_have_are_refused(value: str) -> None:
    from mcppool.spec import ConfigError, loads_toml

    with pytest.raises(ConfigError, match=r"env(_from)?"):
        loads_toml(f'[[pools]]\nname = "p"\ncommand = ["x"]\n{value}')


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["no-such-command-anywhere"], "no-such-command-anywhere: No such file or directory"),
        (["/etc/passwd"], "/etc/passwd: Permission denied"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "it exited with code 3"),
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"], "it was ended by SIGSEGV"),
    ],
    ids=["not there", "not executable", "exits", "crashes"],
)
async def test_why_a_program_does_not_run_is_in_the_log_and_on_the_page(
    gateway: GatewayFactory, command: list[str], said: str
) -> None:
    front = await asyncio.to_thread(gateway, pool(*command, replicas=1), wait=False)
    await until(lambda: said in front.log, "in the log")
    await until(lambda: front.reachable("/livez"), "the admin port is open")

    def seen() -> bool:
        (endpoint,) = json.loads(front.get("/status.json")[1])["pools"][0]["endpoints"]
        return said in (endpoint["reason"] or "")

    await until(seen, "on the page")


async def test_output_that_is_no_message_is_counted_and_its_beginning_shown_harmlessly(
    gateway: GatewayFactory, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    program = tmp_path / "noisy.py"
    noise = "\x1b[2JServer \x07ready\u202e " + "x" * 5000
    program.write_text(f"import runpy\nprint({noise!r}, flush=True)\nrunpy.run_path({ODD!r}, run_name='__main__')")
    front = await asyncio.to_thread(gateway, pool(sys.executable, str(program), "--modern", replicas=1))
    caller = await answered(http, front, modern=True)
    for line in ("hello", "{}", "[1]"):
        assert value_of(await caller.call("speak", line=line)) == "spoken"
    shown = "\\x1b[2JServer \\x07ready\\u202e xxx"
    (endpoint,) = json.loads(front.get("/status.json")[1])["pools"][0]["endpoints"]
    assert endpoint["processes"]["unreadableLines"] == 4
    assert endpoint["processes"]["firstUnreadableLine"].startswith(shown)
    await until(lambda: "server_unreadable" in front.log, "it is logged")
    assert "x" * 1000 not in front.log
    assert "\x1b" not in front.log


QUICK = """[pools.health_check]
timeout = "3s"
[pools.outlier_detection]
hung_after = "4s"
"""


@pytest.mark.parametrize("calling", [True, False], ids=["under a call", "idle"])
async def test_a_program_that_hangs_is_ended_and_started_again(
    gateway: GatewayFactory, http: aiohttp.ClientSession, *, calling: bool
) -> None:
    front = await asyncio.to_thread(gateway, odd("--modern", sections=QUICK))
    caller = await answered(http, front, modern=True)
    caller._logs = False
    pid = value_of(await caller.call("pid"))
    os.kill(pid, signal.SIGSTOP)
    waiting = asyncio.ensure_future(caller.call("wait", seconds=0)) if calling else None
    await until(lambda: not runs(pid), "it was ended")
    if waiting is not None:
        assert value_of(await waiting)["data"]["delivered"] == "unknown"
    other = await answered(http, front, modern=True)
    assert value_of(await other.call("pid")) != pid
    await until(lambda: "it answered nothing, and was ended" in front.log, "it is logged")


async def test_sessions_stay_where_they_are_when_the_process_of_our_checks_hangs(
    gateway: GatewayFactory, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    front = await asyncio.to_thread(gateway, odd("--log", str(log), replicas=2, sections=QUICK))
    callers = [await answered(http, front, modern=False) for _ in range(4)]
    for number in range(1, 3):
        assert [value_of(await caller.call("count")) for caller in callers] == [number] * 4
    starts = written_json(log)
    checked = {
        line["pid"] for line in starts if (line.get("params") or {}).get("clientInfo", {}).get("name") == "mcppool"
    }
    assert len(checked) == 2
    for pid in checked:
        os.kill(pid, signal.SIGSTOP)
    await until(lambda: not any(runs(pid) for pid in checked), "both were ended")
    assert [value_of(await caller.call("count")) for caller in callers] == [3] * 4
