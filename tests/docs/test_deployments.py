"""The compose file and the unit are what Docker Compose and systemd accept; the gateway accepts their configuration."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import yaml
from mcp import Client
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from mcppool.cli.commands import command_parser
from mcppool.spec import PoolSpec, load_toml
from tests.docs.composed import composed
from tests.docs.snippets import of_language
from tests.requirements import ROOT, need_program
from tests.servers import ServerProcess, free_port
from tests.servers.collector import Collector

COMPOSE = ROOT / "examples/compose"
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
"""Of github.com/compose-spec/compose-spec, schema/compose-spec.json at 170098b (Apache-2.0)."""


def test_the_compose_file_is_valid() -> None:
    file = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    jsonschema.Draft7Validator(SCHEMA).validate(file)
    gateway = file["services"]["gateway"]
    assert (COMPOSE / gateway["build"]["context"] / "Dockerfile").resolve() == ROOT / "Dockerfile"
    assert f" AS {gateway['build']['target']}\n" in (ROOT / "Dockerfile").read_text()


def test_the_gateway_of_the_compose_file_reaches_its_servers_and_is_published_on_the_loopback_address_only() -> None:
    services = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
    (pool,) = load_toml(COMPOSE / "gateway/pools.toml").pools
    assert pool.dns == f"http://server:{services['server']['environment']['PORT']}/mcp"
    assert pool.auth.inbound.type == "none"
    assert all(port.startswith("127.0.0.1:") for port in services["gateway"]["ports"])
    assert float(services["gateway"]["stop_grace_period"].removesuffix("s")) > pool.timeouts.drain


def test_with_traces_the_same_gateway_sends_them_to_the_collector_beside_it() -> None:
    file = yaml.safe_load((COMPOSE / "traces.yaml").read_text())
    jsonschema.Draft7Validator(SCHEMA).validate(file)
    base = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    config = file["services"]["gateway"]["command"][-1]
    (volume,) = base["services"]["gateway"]["volumes"]
    assert config == f"{volume.split(':')[1]}/traced.toml"
    (plain,), (traced,) = (load_toml(COMPOSE / "gateway" / name).pools for name in ("pools.toml", "traced.toml"))
    assert traced.model_copy(update={"tracing": plain.tracing}) == plain
    assert traced.tracing.enabled
    assert "\nopentelemetry-proto==" in (ROOT / "requirements/gateway.lock").read_text(), "the image has the extra"
    source, target, _ = file["services"]["collector"]["volumes"][0].split(":")
    assert target == "/etc/otelcol/config.yaml", "where the image looks for it"
    collector = yaml.safe_load((COMPOSE / source).read_text())
    port = collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rpartition(":")[2]
    assert traced.tracing.endpoint == f"http://collector:{port}"
    assert set(collector["service"]["pipelines"]) == {"traces", "metrics", "logs"}


async def test_the_services_run_together_and_traces_of_a_call_arrive(tmp_path: Path) -> None:
    with Collector() as collector, composed(tmp_path, urlsplit(collector.url).port or 0) as services:
        async with Client(services.gateway.url) as client:
            result = await client.call_tool("echo", {"message": "hello"})
        assert "hello" in str(result.content)
        assert await asyncio.to_thread(services.check) == 0
        await asyncio.to_thread(services.gateway.terminate)  # it sends what waits
        kinds = {span.kind for span in collector.spans if span.name == "tools/call echo"}
        assert kinds == {Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT}


def test_the_collector_is_of_the_version_that_is_tried() -> None:
    image = yaml.safe_load((COMPOSE / "traces.yaml").read_text())["services"]["collector"]["image"]
    version = image.rpartition(":")[2]
    assert f"go.opentelemetry.io/collector/otelcol v{version}\n" in (ROOT / "tests/otelcol/go.mod").read_text()


async def test_a_gateway_tells_systemd_that_it_serves_reloads_and_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(120)
        config = tmp_path / "pools.toml"
        port = free_port()
        config.write_text(f'[listener]\nlisten = "127.0.0.1:{port}"\n[metrics]\nport = 0\n')
        command = [sys.executable, "-m", "mcppool", "serve", "--config", str(config)]
        server = ServerProcess("notifying", command, port, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        try:
            server.launch()
            assert (
                await asyncio.to_thread(manager.recv, 1000) == f"READY=1\nSTATUS=serving at 127.0.0.1:{port}".encode()
            )
            server.signal(signal.SIGHUP)
            assert (await asyncio.to_thread(manager.recv, 1000)).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert (await asyncio.to_thread(manager.recv, 1000)).startswith(b"READY=1\n")
            server.signal(signal.SIGTERM)
            assert (await asyncio.to_thread(manager.recv, 1000)).startswith(b"STOPPING=1\n")
            assert await asyncio.to_thread(server.wait) == 0
        finally:
            server.close()


def unit(tmp_path: Path) -> Path:
    """The unit, with commands that this machine has."""
    text = (ROOT / "examples/systemd/mcppool.service").read_text()
    assert "/opt/mcppool/bin/mcppool" in text
    file = tmp_path / "mcppool.service"
    file.write_text(re.sub(r"/opt/mcppool/bin/mcppool|/bin/kill", "/bin/true", text))
    return file


def test_systemd_accepts_the_unit_and_calls_its_exposure_ok(tmp_path: Path) -> None:
    analyze = need_program("systemd-analyze", "scripts/install-debian-packages installs it")
    done = subprocess.run([analyze, "verify", "--man=no", unit(tmp_path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", unit(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_unit_runs_the_command_of_the_gateway() -> None:
    text = (ROOT / "examples/systemd/mcppool.service").read_text()
    for line in re.findall(r"^ExecStart(?:Pre)?=(.*)$", text, re.MULTILINE):
        command_parser().parse_args(line.split()[1:])
    assert float(re.search(r"^TimeoutStopSec=(\d+)s$", text, re.MULTILINE)[1]) > PoolSpec(name="x").timeouts.drain  # type: ignore[index]


def test_systemd_accepts_the_drop_ins_of_the_documentation(tmp_path: Path) -> None:
    analyze = need_program("systemd-analyze", "scripts/install-debian-packages installs it")
    drop_ins = of_language("ini")
    assert drop_ins
    file = unit(tmp_path)
    (tmp_path / "mcppool.service.d").mkdir()
    for number, block in enumerate(drop_ins):
        (tmp_path / f"mcppool.service.d/{number}.conf").write_text(block.text)
    done = subprocess.run([analyze, "verify", "--man=no", file], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
