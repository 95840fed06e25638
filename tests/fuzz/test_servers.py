"""For any answers of servers: clients get an answer or none, and the gateway has no defect, no hang and no growth."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.fuzz.runs import fuzz
from tests.fuzz.server_inputs import lies_for, program_outputs
from tests.fuzz.target import DEFECT, INITIALIZE, PATIENCE, Target, in_session, legacy, modern, whole


@dataclass(frozen=True)
class Asked:
    """A request of a client, and the method or verb by which the server tells it from others."""

    pool: str
    about: str
    request: bytes


closes = st.integers(0, 9).map(bool)
LISTEN = {"notifications": {"toolsListChanged": True}}
CALLS = [
    Asked("modern", "tools/call", modern("tools/call", {"name": "read", "arguments": {}})),
    Asked("modern", "tools/call", modern("tools/call", {"name": "write", "arguments": {}})),
    Asked("modern", "tools/list", modern("tools/list", {})),
    Asked("modern", "prompts/list", modern("prompts/list", {})),
    Asked("modern", "prompts/get", modern("prompts/get", {"name": "x"})),
    Asked("modern", "resources/read", modern("resources/read", {"uri": "file:///x"})),
    Asked("stateless", "initialize", INITIALIZE),
    Asked("stateless", "tools/call", in_session("tools/call", name="write", arguments={})),
    Asked("stateless", "tools/list", in_session("tools/list")),
    Asked("legacy", "initialize", INITIALIZE),
    Asked("legacy", "tools/call", in_session("tools/call", name="write", arguments={}, _meta={"progressToken": 1})),
    Asked("legacy", "resources/subscribe", in_session("resources/subscribe", uri="file:///x")),
    Asked("legacy", "logging/setLevel", in_session("logging/setLevel", level="info")),
    Asked("legacy", "notifications/x", legacy({"method": "notifications/x"})),
    Asked("legacy", "DELETE", legacy(None, verb=b"DELETE")),
]
ENDLESS = [
    Asked(
        "modern", "subscriptions/listen", modern("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    ),
    Asked("legacy", "GET", legacy(None, verb=b"GET")),
    Asked("stateless", "GET", legacy(None, verb=b"GET")),
]


def ask(
    target: Target, asked: Asked, script: bytes, ends: bool, *, first: float = PATIENCE, lull: float = PATIENCE
) -> bytes:
    """The client's answer when its request meets a server that answers with `script`."""
    for server in (target.modern, target.legacy):
        server.about, server.lie, server.closes = asked.about, None, ends
    data = target.filled(asked.request, asked.pool)  # which may open a session
    for server in (target.modern, target.legacy):
        server.lie = script
    got = target.say([data], asked.pool, enough=whole, first=first, lull=lull)
    for server in (target.modern, target.legacy):
        server.lie = None
    assert DEFECT not in got
    target.demand_health()
    return got


def test_calls_meet_servers_that_answer_anything(target: Target, seconds: float) -> None:
    before = target.served
    tried = 0

    def one(lie: tuple[int, bytes], ends: bool) -> None:
        nonlocal tried
        asked, script = lie
        tried += 1
        got = ask(target, CALLS[asked], script, ends)
        assert got.startswith(b"HTTP/1.1 ") or got == b"", "an answer, or none at all"

    fuzz("answers", one, lies_for([asked.about for asked in CALLS]), closes, examples=70, seconds=seconds)
    assert target.served - before > tried / 2, "most calls meet the server"
    if seconds:  # else at the end of all tests
        target.demand_nothing_left()


def test_streams_bring_anything(target: Target, seconds: float) -> None:
    before = target.served
    tried = 0

    def one(lie: tuple[int, bytes], ends: bool) -> None:
        nonlocal tried
        asked, script = lie
        tried += 1
        ask(target, ENDLESS[asked], script, ends, first=1.0, lull=0.05)

    fuzz("streams", one, lies_for([asked.about for asked in ENDLESS]), closes, examples=25, seconds=seconds)
    assert target.served - before > tried / 3, "many streams meet the server"
    if seconds:  # else at the end of all tests
        target.demand_nothing_left()


def test_programs_write_anything(target: Target, seconds: float) -> None:
    def one(output: bytes) -> None:
        target.script.write_bytes(output)
        got = target.say([modern("tools/call", {"name": "write", "arguments": {}})], "local", enough=whole)
        assert got.startswith(b"HTTP/1.1 ")
        assert DEFECT not in got
        target.demand_health()

    fuzz("programs", one, st.one_of(program_outputs, program_outputs, st.just(b"")), examples=20, seconds=seconds)
    if seconds:  # else at the end of all tests
        target.demand_nothing_left()
