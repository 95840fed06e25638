"""For any input of clients: whole requests are answered, and the gateway has no defect, no hang and no growth."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.fuzz.client_inputs import admin_requests, client_bytes, conversations, hellos, requests
from tests.fuzz.pieces import cuts
from tests.fuzz.runs import fuzz
from tests.fuzz.target import DEFECT, Target, whole

BRIEF = 0.1
"""Seconds that something broken is given to be answered: the gateway may well wait for the rest of it."""


def test_whole_requests_are_answered(target: Target, seconds: float) -> None:
    def one(pieces: list[bytes], pool: str) -> None:
        got = target.say(pieces, pool, enough=whole)
        assert got.startswith(b"HTTP/1.1 "), "no answer"
        assert DEFECT not in got
        target.demand_health()

    fuzz("requests", one, cuts(requests()), st.sampled_from(target.pools), examples=80, seconds=seconds)
    if seconds:  # else at the end of all tests
        target.demand_nothing_left()


def test_broken_requests_and_pipelines_leave_nothing_behind(target: Target, seconds: float) -> None:
    def one(pieces: list[bytes], pool: str, first: float) -> None:
        got = target.say(pieces, pool, first=first)
        assert DEFECT not in got
        target.demand_health()

    inputs = cuts(st.one_of(client_bytes, client_bytes, conversations))
    first = st.sampled_from([BRIEF, BRIEF, 0.001])  # some hang up before the answer
    fuzz("broken_requests", one, inputs, st.sampled_from(target.pools), first, examples=50, seconds=seconds)
    if seconds:  # else at the end of all tests
        target.demand_nothing_left()


def test_the_admin_port_takes_anything(target: Target, seconds: float) -> None:
    def one(pieces: list[bytes]) -> None:
        target.say(pieces, "modern", port=target.front.admin_port, first=BRIEF)
        target.demand_health()

    fuzz("admin_port", one, cuts(st.one_of(client_bytes, admin_requests)), examples=25, seconds=seconds)
    if seconds:  # else at the end of all tests
        target.demand_nothing_left()


def test_a_listener_with_tls_takes_anything(tls_target: Target, seconds: float) -> None:
    def one(pieces: list[bytes], pool: str, inside: bool) -> None:
        port = None if inside else tls_target.front.port
        got = tls_target.say(pieces, pool, port=port, first=BRIEF)
        assert DEFECT not in got
        tls_target.demand_health()

    inputs = cuts(st.one_of(client_bytes, hellos))
    fuzz("tls", one, inputs, st.sampled_from(tls_target.pools), st.booleans(), examples=25, seconds=seconds)
    tls_target.demand_nothing_left()
