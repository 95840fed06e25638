"""A few pairs of the matrix, as unlike as can be; `make matrix` runs all of them."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import pytest

from tests.matrix.baseline import Known, read_baseline, surprises
from tests.matrix.clients import CLIENTS, Forking, seen_of
from tests.matrix.report import render
from tests.matrix.run import Pair, compare, run
from tests.matrix.servers import SERVERS
from tests.requirements import need_path

#: Pairs by name: a server and a client of each SDK that `make servers` installs, over HTTP and on standard streams.
SHORT = {
    "python-sdk-1-http": ("python-sdk-2", "typescript-sdk-1"),
    "python-sdk-2-http": ("python-sdk-1", "typescript-sdk-2"),
    "typescript-sdk-1-stdio": ("fastmcp-4",),
    "typescript-sdk-2-http": ("python-sdk-2",),
    "fastmcp-4-http": ("typescript-sdk-2-legacy",),
    "server-everything-stdio": ("typescript-sdk-2-legacy", "python-sdk-2"),
}


@pytest.mark.parametrize("name", SHORT)
def test_a_client_sees_through_the_gateway_what_it_sees_of_the_bare_server(name: str) -> None:
    (server,) = (server for server in SERVERS if server.name == name)
    clients = [client for client in CLIENTS if client.name in SHORT[name]]
    assert len(clients) == len(SHORT[name])
    for path in (*server.needs, *(path for client in clients for path in client.needs)):
        need_path(path, path.name, "`make servers` installs it")
    pairs = list(run(server, clients))
    assert not surprises(pairs, read_baseline())
    assert not any(pair.fails_bare for pair in pairs)
    assert all(len(pair.bare) == len(pair.actions) for pair in pairs)


ADD = ("call", "add", {"a": 1, "b": 2})
ANSWER: dict[str, Any] = {"result": {"content": [{"type": "text", "text": "3"}]}}
OTHER: dict[str, Any] = {"result": {"content": [{"type": "text", "text": "4"}]}}


def pair(*through: dict[str, Any], bare: tuple[dict[str, Any], ...] = (ANSWER,)) -> Pair:
    return Pair("server", "client", list(bare), {1: list(bare), 3: list(through)}, [ADD] * len(bare))


def test_a_difference_names_the_replicas_the_action_and_the_place() -> None:
    (line,) = pair(OTHER).differences
    assert line == '3: call add: result.content[0].text: bare "3", through the gateway "4"'


def test_an_action_that_was_never_come_to_is_a_difference() -> None:
    assert compare([ADD], [ANSWER], []) == [
        f"call add: : bare {str(ANSWER).replace(chr(39), chr(34))}, through the gateway nothing"
    ]
    assert compare([ADD], [], [ANSWER])
    assert compare([ADD], [ANSWER], [ANSWER, {"error": "it ended with 1"}])[0].startswith("afterwards: ")


def test_a_known_difference_is_no_surprise_and_a_stale_entry_is_one() -> None:
    known = Known("another, server", "cl*", ["3: call add: result.content[0].text:*"], "a reason")
    assert not surprises([pair(OTHER)], [known])
    assert surprises([pair(OTHER)], []) == [f"server / client: {pair(OTHER).differences[0]}"]
    assert surprises([pair(ANSWER)], [known]) == [
        "another, server / cl*: 3: call add: result.content[0].text:*: stands in the baseline and is not seen"
    ]


def test_an_entry_about_pairs_that_were_not_run_is_not_stale() -> None:
    assert not surprises([pair(ANSWER)], [Known("another", "*", ["*: call *"], "a reason")])
    assert not surprises([pair(ANSWER)], [Known("*", "*", ["*: call *"], "a reason", sometimes=True)])


CONNECT = ("connect",)
MODERN: dict[str, Any] = {"result": {"protocol": "2026-07-28"}}
LEGACY: dict[str, Any] = {"result": {"protocolVersion": "2025-11-25"}}
REFUSED: dict[str, Any] = {"error": "refused"}


def test_every_place_of_an_action_that_differs_is_a_line() -> None:
    one = {"result": {"a": 1, "b": [1, 2]}, "progress": [1]}
    other = {"result": {"a": 2, "b": [1, 3]}}
    assert compare([ADD], [one], [other]) == [
        "call add: result.a: bare 1, through the gateway 2",
        "call add: result.b[1]: bare 2, through the gateway 3",
        "call add: progress: bare [1], through the gateway nothing",
    ]


def test_a_null_is_not_nothing() -> None:
    assert compare([ADD], [{"code": None}], [{}]) == ["call add: code: bare null, through the gateway nothing"]


def test_where_only_the_gateway_connects_one_replica_and_three_are_compared() -> None:
    lost = {"error": "not connected"}
    seen = Pair("s", "c", [REFUSED, lost], {1: [LEGACY, ANSWER], 3: [LEGACY, OTHER]}, [CONNECT, ADD])
    assert [line for line in seen.differences if "call" in line] == [
        '3: call add: result.content[0].text: bare "3", through the gateway "4"'
    ]
    assert len([line for line in seen.differences if "connect: error: bare" in line]) == 2


def test_a_baseline_entry_names_the_actions_that_it_excuses() -> None:
    for vague in (["*"], ["*: *"], ["1: *"], [], "call add: *"):
        with pytest.raises(ValueError, match="name no action"):
            Known("server", "client", vague, "a reason")


def test_the_page_numbers_each_reason_once_and_shows_what_nothing_explains() -> None:
    (server, second, *_), (client, *_) = SERVERS, CLIENTS
    pairs = [
        Pair(s.name, client.name, [LEGACY, ANSWER], {1: [LEGACY, OTHER]}, [CONNECT, ADD]) for s in (server, second)
    ]
    page = render([server, second], [client], pairs, [Known("*", "*", ["*: call add: *"], "They count otherwise.")])
    assert f"| {server.name} | legacy 1 |" in page
    assert f"| {second.name} | legacy 1 |" in page
    assert page.count("They count otherwise.") == 1
    assert "Not explained" in render([server], [client], pairs[:1], [])


def test_the_page_shows_the_era_of_each_run() -> None:
    (server, *_), (client, *_) = SERVERS, CLIENTS

    def page(bare: dict[str, Any], one: dict[str, Any], three: dict[str, Any]) -> str:
        return render(
            [server], [client], [Pair(server.name, client.name, [bare], {1: [one], 3: [three]}, [CONNECT])], []
        )

    assert f"| {server.name} | modern |" in page(MODERN, MODERN, MODERN)
    assert f"| {server.name} | legacy |" in page(LEGACY, LEGACY, LEGACY)
    assert f"| {server.name} | bare no |" in page(REFUSED, REFUSED, REFUSED)
    differs = page(MODERN, MODERN, LEGACY)
    assert f"| {server.name} | modern/legacy 1" in differs
    assert f"| {server.name} | {client.name} | 2026-07-28 | 2026-07-28: equal | 2025-11-25: 1" in differs


def test_what_else_a_client_prints_is_no_action() -> None:
    assert seen_of('a warning\n{"target": 1, "result": 1}\n', 2) == [[], [{"result": 1}]]


def test_a_client_that_breaks_off_reports_it_at_its_current_target() -> None:
    output = '{"target": 0, "result": 1}\n{"target": 1, "result": 2}\n'
    assert seen_of(output, 3, "it hangs") == [[{"result": 1}], [{"result": 2}, {"error": "it hangs"}], []]


FORKS = """
import sys
for job in sys.stdin:
    print('{"target": 0, "result": ' + str(len(job)) + '}')
    if "die" in job:
        sys.exit("as asked")
    print('{"end": 3}' if "fail" in job else '{"end": 0}', flush=True)
"""


def test_a_client_that_forks_takes_one_job_after_the_other_and_reports_a_crash() -> None:
    with contextlib.closing(Forking([sys.executable, "-c", FORKS])) as client:
        assert client.ask({}) == ('{"target": 0, "result": 3}\n', None)
        line, end = client.ask({"fail": 1})
        assert line
        assert end is not None
        assert end.startswith("the client ended with 3")
        line, end = client.ask({"die": 1})
        assert line
        assert end is not None
        assert "as asked" in end


def test_every_entry_of_the_baseline_can_match() -> None:
    for entry in read_baseline():
        assert any(entry.about(Pair(s.name, c.name, [])) for s in SERVERS for c in CLIENTS), entry
