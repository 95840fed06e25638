"""`mcppool init` writes a configuration file from servers, or from answers on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mcppool.cli.main import main
from mcppool.spec import load_toml
from tests.integration.test_stdio import SERVER
from tests.servers import sdk1_replica, sdk2_replica
from tests.servers.process import serving


class Terminal:
    """A command on a terminal, and everything that it has printed."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self._master = master
        self._printed = bytearray()
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 4096)
            except OSError:  # the command has ended
                data = b""
            with self._more:
                self._printed += data
                self._more.notify_all()
            if not data:
                return

    def until(self, text: str) -> None:
        """Wait until the command has printed this."""
        with self._more:
            assert self._more.wait_for(lambda: text.encode() in self._printed, timeout=120), self._printed

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self) -> int:
        """The exit status, after everything is read."""
        status = self.process.wait(120)
        self._thread.join(120)
        return status


def _begin() -> None:
    """Ctrl-C is for this process, and ends it, also if the tests run in the background of a shell, which ignores it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def terminal(*arguments: str, cwd: Path) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "mcppool", *arguments]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, cwd=cwd, env=environment, start_new_session=True,
        preexec_fn=_begin,
    )  # fmt: skip
    os.close(slave)
    one = Terminal(process, master)
    try:
        yield one
    finally:
        if process.poll() is None:
            process.kill()
        one.end()
        os.close(master)


def test_a_file_is_written_from_servers_of_both_eras_and_never_over_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pools.toml"
    with serving(sdk2_replica("a"), sdk1_replica("b")) as (modern, legacy):
        assert main(["init", modern.url, "--into", str(path)]) == 0
        written = path.read_text()
        assert main(["init", legacy.url, "--into", str(path)]) == 1
        assert path.read_text() == written
        assert "--force" in capsys.readouterr().err
        assert main(["init", legacy.url, "--into", str(path), "--force", "--name", "old"]) == 0
    assert "stateless (2026-07-28)" in written
    assert "with sessions (2025-11-25)" in path.read_text()
    (pool,) = load_toml(path).pools
    assert (pool.name, pool.endpoints[0].url) == ("old", legacy.url)
    assert [each.name for each in tmp_path.iterdir()] == ["pools.toml"]


def test_a_file_is_written_from_a_command(tmp_path: Path) -> None:
    path = tmp_path / "pools.toml"
    assert main(["init", "--into", str(path), "--replicas", "2", "--", sys.executable, SERVER]) == 0
    (pool,) = load_toml(path).pools
    assert (pool.command, pool.replicas) == ((sys.executable, SERVER), 2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nonsense"], 'pools[0].endpoints[0].url: "nonsense" does not begin with http'),
        (["http://127.0.0.1:1/mcp", "--listen", "nonsense"], 'listener.listen: "nonsense"'),
        (["http://127.0.0.1:1/mcp", "--name", "A b"], 'pools[0].name: "A b" is not allowed'),
        (["http://127.0.0.1:1/mcp", "--", "x"], "give URLs or a command, not both"),
    ],
)
def test_a_mistake_is_named_before_anything_is_asked_or_written(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", "--into", str(tmp_path / "pools.toml"), *arguments]) == 2
    assert told in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


def test_it_asks_on_a_terminal(tmp_path: Path) -> None:
    with serving(sdk2_replica("a")) as (server,), terminal("init", cwd=tmp_path) as shown:
        shown.until("Server: ")
        shown.type(f"{server.url}\n")
        shown.until("Next replica: ")
        shown.type("\n")
        shown.until("Name of the pool [mcppool-test-replica]: ")
        shown.type("mine\n")
        shown.until("Where clients connect [127.0.0.1:8080]: ")
        shown.type("\n")
        shown.until("Next: mcppool serve --config pools.toml")
        assert shown.end() == 0
    (pool,) = load_toml(tmp_path / "pools.toml").pools
    assert (pool.name, pool.endpoints[0].url) == ("mine", server.url)


def test_without_a_terminal_it_does_not_ask(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mcppool", "init"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "questions need a terminal" in done.stderr


def test_long_work_shows_its_progress_on_a_terminal(tmp_path: Path) -> None:
    with (
        serving(sdk2_replica("a")) as (server,),
        terminal("call", server.url, "wait", "key=a", cwd=tmp_path) as shown,
    ):
        shown.until("calling wait (")
        shown.type("\x03")  # Ctrl-C
        assert shown.end() == 130
