"""The measured targets. Every target forwards to the same three endpoints of the fast upstream and serves /mcp.

Adding one is one function and one line in TARGETS.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine
from bench.processes import Failed, Process, free_port

HERE = Path(__file__).parent
COMPILED = HERE.parent / ".cache" / "compiled-venv" / "bin" / "mcppool"
START_SECONDS = 60.0
POLL_SECONDS = 0.01
ENDPOINTS = 3


@dataclass
class Target:
    """A running target; `process` is None for the upstream itself, which is not on the measured core. Its clients show
    the bearer `token`, if there is one. `admin` is the address of the gateway's admin port, and `command` the one that
    runs it, if that is not the `mcppool` beside this Python."""

    name: str
    url: str
    process: Process | None
    start_seconds: float = 0.0
    token: str = ""
    admin: str = ""
    command: Sequence[str] = ()


@dataclass
class Bench:
    """Where things run: directory for files, cores, and the stack that ends every process."""

    directory: Path
    load_core: int
    target_core: int
    stack: ExitStack
    upstream_process: Process = field(init=False)
    upstreams: tuple[str, ...] = ()
    processes: list[Process] = field(init=False, default_factory=list)

    @property
    def cores(self) -> tuple[int, int]:
        return self.load_core, self.target_core

    def run(self, name: str, argv: list[str], core: int, stdout: int | None = None) -> Process:
        process = Process(argv, core, self.directory / f"{name}.log", stdout)
        self.stack.callback(process.stop)
        self.processes.append(process)
        return process


def start_upstream(bench: Bench, endpoints: int = ENDPOINTS) -> None:
    argv = [sys.executable, "-m", "bench.upstream", "--ports", str(endpoints)]
    bench.upstream_process = process = bench.run("upstream", argv, bench.load_core, subprocess.PIPE)
    assert process.child.stdout is not None
    line = process.child.stdout.readline()
    if not line:
        process.child.wait(5)
        process.check_alive()
    bench.upstreams = tuple(f"http://127.0.0.1:{port}/mcp" for port in json.loads(line))


def direct(bench: Bench) -> Target:
    return Target("direct", bench.upstreams[0], None)


def naive(bench: Bench) -> Target:
    port = free_port()
    argv = [sys.executable, str(HERE / "naive_proxy.py"), str(port), *bench.upstreams[:ENDPOINTS]]
    return started(Target("naive", f"http://127.0.0.1:{port}/mcp", bench.run("naive", argv, bench.target_core)))


def bare(bench: Bench, upstreams: Sequence[str]) -> Target:
    """A proxy that only passes bytes on to these upstreams."""
    port, ports = free_port(), [url.split("/")[2].rpartition(":")[2] for url in upstreams]
    argv = [sys.executable, str(HERE / "bare_proxy.py"), str(port), *ports]
    name = f"bare-{len(ports)}"
    return started(Target(name, f"http://127.0.0.1:{port}/mcp", bench.run(name, argv, bench.target_core)))


NGINX = """
{user} daemon off; worker_processes 1; pid {directory}/nginx-{port}.pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 4m; keepalive_requests 1000000000;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  upstream replicas {{ {servers} keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location /mcp {{
      proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host 127.0.0.1:{port};
    }}
  }}
}}
"""


def nginx(bench: Bench, upstreams: Sequence[str] = ()) -> Target:
    """nginx in front of these upstreams; default, three."""
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""  # the worker must be able to use the directory
    servers = " ".join(f"server {url.split('/')[2]};" for url in upstreams or bench.upstreams[:ENDPOINTS])
    file = bench.directory / f"nginx-{port}.conf"
    file.write_text(NGINX.format(user=user, directory=bench.directory, servers=servers, port=port))
    argv = [machine.tool("nginx"), "-e", "stderr", "-c", str(file)]
    return started(Target("nginx", f"http://127.0.0.1:{port}/mcp", bench.run("nginx", argv, bench.target_core)))


MCPPOOL = """
profile = "production"
[listener]
listen = "127.0.0.1:{port}"
{listener}
[metrics]
host = "127.0.0.1"
port = {admin}
[[pools]]
name = "echo"
endpoints = {endpoints}
[pools.connection_pool]
max_waiting = 1024
{connection_pool}
"""


def mcppool(
    bench: Bench, name: str = "mcppool", sections: str = "", token: str = "", connection_pool: str = "",
    endpoints: Sequence[str] = (), command: Sequence[str] = (), listener: str = "",
) -> Target:  # fmt: skip
    """Our gateway; `sections` and lines of `connection_pool` are added to its pool, lines of `listener` to that
    section. `endpoints`: default, three.
    `command` takes the place of `mcppool`."""
    port, admin = free_port(), free_port()
    file = bench.directory / f"{name}.toml"
    urls = json.dumps(endpoints or bench.upstreams[:ENDPOINTS])
    text = MCPPOOL.format(port=port, admin=admin, endpoints=urls, connection_pool=connection_pool, listener=listener)
    file.write_text(text + sections)
    argv = [*(command or [str(Path(sys.executable).with_name("mcppool"))]), "serve", "--config", str(file)]
    process = bench.run(name, argv, bench.target_core)
    target = Target(name, f"http://127.0.0.1:{port}/mcp", process, token=token, admin=f"http://127.0.0.1:{admin}")
    target.command = command
    return started(target, f"{target.admin}/readyz")


def compiled(bench: Bench) -> Target:
    """Our gateway of the compiled wheel, as `make compiled` installs it."""
    return mcppool(bench, "compiled", command=[str(COMPILED)])


TARGETS: dict[str, Callable[[Bench], Target]] = {
    "direct": direct, "nginx": nginx, "naive": naive, "mcppool": mcppool, "compiled": compiled,
}  # fmt: skip


def present() -> list[str]:
    """Names of the targets that can be measured here: the compiled build is one only if somebody has built it."""
    return [name for name in TARGETS if name != "compiled" or COMPILED.exists()]


def started(target: Target, ready_url: str | None = None) -> Target:
    """Wait until the target serves: its readiness page says 200, or else its /mcp answers at all."""
    assert target.process is not None
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        target.process.check_alive()
        status = status_of(ready_url or target.url)
        if status == 200 or (status and ready_url is None):
            target.start_seconds = time.monotonic() - target.process.started
            return target
        time.sleep(POLL_SECONDS)
    raise Failed(f"{target.name} is not ready after {START_SECONDS:.0f} s; see {target.process.log}")


def status_of(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def executed_calls(bench: Bench) -> int:
    """Tool calls that the upstream has executed so far."""
    with urllib.request.urlopen(bench.upstreams[0].replace("/mcp", "/calls"), timeout=5) as answer:
        return int(answer.read())
