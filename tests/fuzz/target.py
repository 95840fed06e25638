"""A running gateway with pools of every kind, its inputs, and its invariants."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from tests.certificates import make_server_certificate
from tests.fuzz import program
from tests.fuzz.client_inputs import POOL, SESSION
from tests.fuzz.liar import Liar
from tests.servers import Gateway, modern_request
from tests.servers.process import HOST
from tests.servers.redis_server import RedisServer

PATIENCE = 60.0
"""Seconds in which the gateway must have answered, on a busy machine."""
LULL = 0.03
"""Seconds of silence after which no more is expected of a stream, or of an answer to something broken."""
GROWTH = 64
"""MiB by which the gateway may be larger in the end: caches and allocators fill within the first seconds."""
SPARE = 8
"""Descriptors and tasks that checks and idle connections have at one time and not at another."""
LAG_IS_SEEN_WITHIN = 2.0
"""Seconds after which no answer of `/livez` speaks of a lag any more: it is measured twice a second."""
BAD_WORDS = re.compile(r"defect|unhandled_exception|Traceback|task_failed|admin_request_failed")
DEFECT = b"A defect in the gateway"

SECTIONS = """
[connection_pool]
max_idle_time = "500ms"
acquire_timeout = "1s"
health_check_interval = "500ms"
[timeouts]
request = "500ms"
stream_idle = "1s"
keep_alive = "200ms"
[retry_policy]
max_attempts = 2
[circuit_breaker]
failure_threshold = 1000
open_duration = "1ms"
[outlier_detection]
consecutive_failures = 1000
base_ejection_time = "1ms"
[health_check]
timeout = "500ms"
unhealthy_threshold = 100
healthy_threshold = 1
[sessions]
idle_timeout = "1s"
"""
POOLS = """
[[pools]]
name = "modern"
endpoints = ["{modern}"]
  [pools.cache]
  type = "memory"
  [pools.tools.read]
  cache_ttl = "1ms"
  [pools.headers]
  forward = ["X-Tenant"]
[[pools]]
name = "legacy"
endpoints = ["{legacy}", "{modern}"]
  [[pools.access.deny]]
  name = "some"
  tools = ["w*", "!write"]
  resources = ["*://a/*"]
  prompts = ["p"]
  [[pools.access.deny]]
  name = "forced"
  with_arguments = ["force"]
[[pools]]
name = "stateless"
endpoints = ["{legacy}"]
  [pools.sessions]
  stateless = true
[[pools]]
name = "local"
command = ["{python}", "-S", "{program}", "{script}"]
replicas = 1
  [pools.local]
  idle_timeout = "1s"
"""
REDIS = """
[[pools]]
name = "redis"
endpoints = ["{modern}", "{modern}?replica=2"]
  [pools.load_balancer]
  strategy = "consistent_hash"
  hash_key = "tool"
  [pools.timeouts]
  request = "20s"
  [pools.retry_policy]
  hedge_after = "20ms"
  [pools.cache]
  type = "redis"
  redis_url = "{redis}"
  redis_timeout = "5s"
  [pools.tools."*"]
  cache_ttl = "1m"
  [pools.sessions]
  store = "redis"
  [pools.rate_limit]
  store = "redis"
  pool = {{requests_per_second = 100000}}
"""


class Target:
    """The gateway, its servers on a loop in a thread of its own, and a client that asks `/livez` all the time."""

    def __init__(self, folder: Path, *, tls: bool = False) -> None:
        self.modern, self.legacy = Liar(modern=True), Liar(modern=False)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        for server in (self.modern, self.legacy):
            self._do(server.listen())
        self.script = folder / "script"
        self.redis = RedisServer(folder) if shutil.which("redis-server") else None
        if self.redis is not None:
            self.redis.start()
        self.trust: ssl.SSLContext | None = None
        self.front = Gateway(folder, self._pools(), listener=self._listener(folder, tls), level="warning")
        self.front.start_timeout = 2 * PATIENCE  # `make fuzz` runs with the lowest priority
        try:
            self.front.start()
        except BaseException:
            self.front.kill()
            self._end_servers()
            raise
        self._sessions: dict[str, bytes] = {}
        self._read = 0  # bytes of the log that were looked at
        self._silent: list[str] = []  # faults in answers of /livez
        self._waits: list[tuple[float, float]] = []  # the time, and the gateway's wait for a processor until then
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self.warm_up()
        self.before = self.state()

    def _pools(self) -> str:
        toml = SECTIONS + POOLS.format(
            modern=self.modern.url, legacy=self.legacy.url, python=sys.executable, program=program.__file__,
            script=self.script,
        )  # fmt: skip
        return toml + (REDIS.format(modern=self.modern.url, redis=self.redis.address) if self.redis else "")

    def _listener(self, folder: Path, tls: bool) -> str:
        if not tls:
            return ""
        made = make_server_certificate(folder / "tls")
        self.trust = ssl.create_default_context(cafile=str(made.ca))
        return f'[listener.tls]\ncertificate_file = "{made.certificate}"\nkey_file = "{made.key}"\n'

    def close(self) -> None:
        """End everything; a gateway that does not end well raises."""
        self._over.set()
        self._watcher.join()
        try:
            self.front.close()
        finally:
            self._end_servers()

    def _end_servers(self) -> None:
        if self.redis is not None:
            self.redis.close()
        for server in (self.modern, self.legacy):
            self._do(server.refuse())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def pools(self) -> list[str]:
        """Their names."""
        return ["modern", "legacy", "stateless", "local", *(["redis"] if self.redis else [])]

    @property
    def served(self) -> int:
        """Number of the servers' lies."""
        return self.modern.served + self.legacy.served

    # ---- what is said ----

    def connect(self) -> socket.socket:
        """A connection to the listener."""
        connection = socket.create_connection((HOST, self.front.port), PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection if self.trust is None else self.trust.wrap_socket(connection, server_hostname=HOST)

    def say(
        self,
        pieces: Iterable[bytes],
        pool: str,
        *,
        port: int | None = None,
        enough: Callable[[bytes], bool] = lambda got: False,
        first: float = PATIENCE,
        lull: float = LULL,
    ) -> bytes:
        """Send bytes and return the answer: until the connection ends, `enough` is true of it, or nothing more comes
        for a while. `first` is the limit for the first byte."""
        connection = self.connect() if port is None else socket.create_connection((HOST, port), PATIENCE)
        got = b""
        with connection:
            try:
                for piece in pieces:
                    connection.sendall(self.filled(piece, pool))
                connection.settimeout(first)
                while part := connection.recv(1 << 16):
                    got += part
                    if enough(got):
                        break
                    connection.settimeout(lull)
            except TimeoutError:
                pass
            except (ConnectionError, ssl.SSLError):
                pass  # the gateway has ended the connection before it had read everything
        if got.startswith(b"HTTP/1.1 404 "):  # perhaps the session has ended
            self._sessions.pop(pool, None)
        return got

    def filled(self, data: bytes, pool: str) -> bytes:
        """With the names of the pool and of a session in it."""
        if SESSION in data:
            if pool not in self._sessions or data.startswith(b"DELETE"):
                self._sessions[pool] = self.open_session(pool)
            data = data.replace(SESSION, self._sessions[pool])
        return data.replace(POOL, pool.encode())

    def open_session(self, pool: str) -> bytes:
        """The id of a new session; anything where the pool has none."""
        self._sessions[pool] = b"none"
        answer = self.say([INITIALIZE], pool, enough=whole)
        found = re.search(rb"(?i)\r\nmcp-session-id: *([^\r]+)", answer)
        return found[1] if found else b"none"

    def warm_up(self) -> None:
        """A call to each pool that is answered well."""
        self._sessions.clear()
        for pool in self.pools:
            deadline = time.monotonic() + PATIENCE
            while b" 200 " not in (got := self.say([well(pool)], pool, enough=whole)).split(b"\r\n")[0]:
                assert time.monotonic() < deadline, (pool, got)

    # ---- what must be true ----

    def state(self) -> dict[str, int]:
        """The quantities that must not grow."""
        text = self.front.get("/metrics")[1]

        def metric(name: str) -> int:
            return int(sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)))

        return {
            "tasks": metric("mcppool_tasks"),
            "connections of clients": metric("mcppool_listener_connections"),
            "descriptors": len(os.listdir(f"/proc/{self.front.pid}/fd")),
            "charged MiB": metric("mcppool_memory_charged_bytes") >> 20,
            "failed tasks": metric("mcppool_task_failures_total"),
            "resident MiB": self.resident(),
        }

    def resident(self) -> int:
        status = Path(f"/proc/{self.front.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) >> 10

    def waited(self) -> float:
        """Seconds for which the gateway's loop was ready to run and got no processor."""
        return int(Path(f"/proc/{self.front.pid}/schedstat").read_text().split()[1]) / 1e9

    def demand_health(self) -> None:
        """No defect since the last look, and the gateway answers."""
        assert self.front.alive
        log = self.front.log_after(self._read)
        self._read += len(log)
        text = log.decode("utf-8", "replace")
        assert not BAD_WORDS.search(text), text[-5000:]
        assert not self._silent, self._silent

    def demand_nothing_left(self) -> None:
        """Everything that the inputs have started comes to its end, and calls are answered."""
        for server in (self.modern, self.legacy):
            server.lie = None
        self.script.unlink(missing_ok=True)
        allowed = {name: value + SPARE for name, value in self.before.items()}
        allowed |= {"failed tasks": 0, "resident MiB": self.before["resident MiB"] + GROWTH}
        deadline = time.monotonic() + PATIENCE
        while more := {name: value for name, value in self.state().items() if value > allowed[name]}:
            assert time.monotonic() < deadline, f"{more}, and in the beginning {self.before}"
            time.sleep(0.1)
        self.warm_up()
        self.demand_health()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            connection = http.client.HTTPConnection(HOST, self.front.admin_port, timeout=PATIENCE)
            try:
                self._waits.append((time.monotonic(), self.waited()))
                connection.request("GET", "/livez")
                response = connection.getresponse()
                if response.status != 200:
                    self._look_into(response.status, response.read().decode())
            except (OSError, http.client.HTTPException) as error:
                self._silent.append(f"/livez: {error!r}")
            finally:
                connection.close()

    def _look_into(self, status: int, body: str) -> None:
        """The gateway calls itself dead. It is not where its loop only got no processor on a busy machine."""
        lag = json.loads(body).get("loopLag", 0.0)
        before = [waited for at, waited in self._waits if at <= time.monotonic() - lag - LAG_IS_SEEN_WITHIN]
        if lag - (self.waited() - (before[-1] if before else 0.0)) > 1.0:
            self._silent.append(f"/livez: {status} {body}")

    def _do(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)


def whole(got: bytes) -> bool:
    """Whether this is an answer with all of its body."""
    head, found, body = got.partition(b"\r\n\r\n")
    if not found:
        return False
    length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
    if length is not None:
        return len(body) >= int(length[1])
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    return b" 202 " in head[:16] or b" 204 " in head[:16]


def legacy(message: dict[str, Any] | None, *, verb: bytes = b"POST", session: bool = True) -> bytes:
    """An HTTP request of the handshake era, in the session or without one."""
    body = b"" if message is None else json.dumps({"jsonrpc": "2.0", **message}).encode()
    lines = [b"%b /%b/mcp HTTP/1.1" % (verb, POOL), b"Host: 127.0.0.1"]
    lines += [b"Accept: application/json, text/event-stream", b"Content-Type: application/json"]
    lines += [b"MCP-Protocol-Version: 2025-11-25", b"Content-Length: %d" % len(body)]
    if session:
        lines.append(b"Mcp-Session-Id: " + SESSION)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def in_session(method: str, **params: object) -> bytes:
    """A request of the handshake era in the session."""
    return legacy({"id": 1, "method": method, "params": params})


def modern(method: str, params: dict[str, Any]) -> bytes:
    """A request of the modern era."""
    headers, body = modern_request(method, params)
    lines = [b"POST /%b/mcp HTTP/1.1" % POOL, b"Host: 127.0.0.1", b"Content-Length: %d" % len(body)]
    lines += [f"{name}: {value}".encode() for name, value in headers.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
INITIALIZE = legacy({"id": 1, "method": "initialize", "params": HELLO}, session=False)
LEGACY_POOLS = ("legacy", "stateless")


def well(pool: str) -> bytes:
    """A call that is answered well."""
    if pool in LEGACY_POOLS:
        return legacy({"id": 1, "method": "tools/call", "params": {"name": "write", "arguments": {}}})
    return modern("tools/call", {"name": "write", "arguments": {}})
