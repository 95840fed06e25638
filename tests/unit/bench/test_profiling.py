"""The pure parts of `make profile`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.profiling import flame, steps
from bench.profiling.__main__ import markdown
from bench.scenes import SCENES

CALL = "mcppool.pipeline.serve:Pipeline.serve"
READ = "mcppool.gateway.http.connection:HttpConnection.data_received;mcppool.gateway.http.reader:RequestReader.feed"
WRITE = "mcppool.pipeline.serve:Pipeline.serve;mcppool.gateway.http.send_buffer:SendBuffer.write"
SEND = "mcppool.pipeline.serve:Pipeline.serve;mcppool.upstream.http.connection:Connection.request"


@pytest.mark.parametrize(
    ("stack", "step"),
    [
        (READ, "read the request"),
        (f"{READ};json:dumps", "read the request"),
        (WRITE, "write the answer"),
        (SEND, "send the request"),
        ("mcppool.upstream.http.connection:Connection.data_received", "read the answer"),
        ("mcppool.policy.balancing.two_choices:draw_two", "choose an endpoint"),
        ("mcppool.discovery.file:look", steps.OTHER),
        (steps.LOOP, steps.LOOP),
        ("selectors:select", steps.LOOP),
    ],
)
def test_a_stack_belongs_to_the_step_of_its_innermost_function_of_ours(stack: str, step: str) -> None:
    assert steps.step_of(stack) == step


def test_samples_are_counted_by_step_and_by_function() -> None:
    stacks = steps.read(f"{READ} 3\n{WRITE} 5\n{SEND} 2\n")
    assert steps.by_step(stacks) == {"read the request": 3, "send the request": 2, "write the answer": 5}
    assert steps.by_function(stacks)[0] == ("mcppool.gateway.http.send_buffer:SendBuffer.write", 5, 5)
    whole = {name: whole for name, _, whole in steps.by_function({**stacks, CALL: 1})}
    assert whole[CALL] == 8


def test_the_table_shares_the_cpu_time_of_a_call_among_the_steps() -> None:
    text = markdown(SCENES[0], {READ: 3, WRITE: 1}, 40e-6)
    assert "| read the request |  75.0% |        30.0 |" in text
    assert "| all              | 100.0% |        40.0 |" in text


def test_a_flame_graph_is_an_image_whose_boxes_are_as_wide_as_their_shares() -> None:
    svg = ElementTree.fromstring(flame.render({READ: 3, WRITE: 1}, "a <title>"))
    name = "{http://www.w3.org/2000/svg}"
    widths = {
        str(group.findtext(f"{name}title")): float(str(group.find(f"{name}rect").get("width")))  # type: ignore[union-attr]
        for group in svg.iter(f"{name}g")
    }
    whole = next(width for title, width in widths.items() if title.startswith("all:"))
    read = next(width for title, width in widths.items() if "RequestReader.feed" in title)
    assert read / whole == pytest.approx(0.75, abs=0.01)


def test_the_sampler_counts_where_a_process_spends_its_cpu_time(tmp_path: Path) -> None:
    """Busy work in place of the gateway: it toggles the sampler on itself until the sampler has seen something."""
    file = tmp_path / "stacks"
    program = f"""
import json, os, signal
from pathlib import Path
from bench.profiling.sampler import Sampler
sampler = Sampler(Path({str(file)!r}))
signal.signal(signal.SIGPROF, sampler.sample)
signal.signal(signal.SIGUSR2, sampler.toggle)
def busy():
    for _ in range(20_000):
        json.dumps({{"a": [1, 2, 3]}})
while True:
    os.kill(os.getpid(), signal.SIGUSR2)
    for _ in range(10):
        busy()
    os.kill(os.getpid(), signal.SIGUSR2)
    if "busy" in Path({str(file)!r}).read_text():
        break
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, cwd=Path(__file__).parents[3])
    stacks = steps.read(file.read_text())
    assert any("busy" in stack for stack in stacks)
    assert all(number > 0 for number in stacks.values())
