"""A real PostgreSQL in a process of its own: a cluster in a temporary folder, on a free port and a socket file.

PostgreSQL refuses to run as root. Then it runs as Debian's user `postgres`, or as `nobody`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

from tests.certificates import ServerCertificate
from tests.requirements import missing
from tests.servers.process import HOST, ServerProcess, free_port

REMEDY = "install Debian's postgresql (scripts/install-debian-packages does)"
PASSWORD = "pa55word"


def _program(name: str) -> str:
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None
    )
    return found or missing(f"the program {name}", REMEDY)


def _as_a_user() -> list[str]:
    """The beginning of a command that must not run as root."""
    if os.getuid() != 0:
        return []
    user = _user()
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def _user() -> pwd.struct_passwd:
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


class PostgresServer(ServerProcess):
    """`postgres` with the database `postgres` of the user `mcppool`.

    `address` needs the password `PASSWORD`; `socket_address` needs none. With a `certificate` it takes TLS, and trusts
    client certificates of the same authority; `rules` come first in its `pg_hba.conf`.
    """

    def __init__(self, certificate: ServerCertificate | None = None, rules: str = "") -> None:
        program = _program("postgres")
        # Not in pytest's folder, which other users cannot enter. Short: a socket's path may have 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="mcppool-pg-"))
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if os.getuid() == 0:
            for path in (self.folder, password):
                os.chown(path, _user().pw_uid, _user().pw_gid)
        self._data = self.folder / "data"
        port = free_port()
        self.address = f"postgresql://mcppool@{HOST}:{port}/postgres"
        self.socket_address = f"postgresql://mcppool@{quote(str(self.folder), safe='')}:{port}/postgres"
        subprocess.run(
            [
                *_as_a_user(), _program("initdb"), "--pgdata", str(self._data), "--username=mcppool", "--no-sync",
                "--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256",
                f"--pwfile={password}",
            ],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.folder,
        )  # fmt: skip
        hba = self._data / "pg_hba.conf"
        hba.write_text(rules + hba.read_text())
        settings = {
            "listen_addresses": HOST, "port": port, "unix_socket_directories": self.folder, "fsync": "off",
            "shared_buffers": "16MB", "max_connections": 60, "max_worker_processes": 0,
        }  # fmt: skip
        if certificate is not None:  # not as options, so that a test can change them
            files = {"ssl_cert_file": certificate.certificate, "ssl_key_file": certificate.key}
            lines = [
                f"{name} = '{self._given(file)}'\n" for name, file in (*files.items(), ("ssl_ca_file", certificate.ca))
            ]
            with (self._data / "postgresql.conf").open("a") as configuration:
                configuration.writelines(["ssl = on\n", *lines])
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        super().__init__("postgres", [*_as_a_user(), program, "-D", str(self._data), *options], port)

    def _given(self, file: Path) -> Path:
        """A copy that its user can read."""
        copy = self.folder / file.name
        shutil.copy(file, copy)
        if os.getuid() == 0:
            os.chown(copy, _user().pw_uid, _user().pw_gid)
        copy.chmod(0o600)
        return copy

    def answers(self) -> bool:
        """Whether it takes connections: it says so in its own file."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def kill(self) -> None:
        """End it at once, with its children; what is in unlogged tables is lost."""
        if self.alive:
            self.resume()
            self.signal(signal.SIGQUIT)
            self.wait()

    def pause(self) -> None:
        """Stop it and the processes of its connections: the kernel accepts connections, nothing answers."""
        super().pause()
        self._signal_children(signal.SIGSTOP)

    def resume(self) -> None:
        """End of `pause`."""
        self._signal_children(signal.SIGCONT)
        super().resume()

    def close(self) -> None:
        """End it and remove its folder."""
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _signal_children(self, number: signal.Signals) -> None:
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            try:
                os.kill(int(child), number)
            except ProcessLookupError:
                continue
