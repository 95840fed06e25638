"""Filters: their arithmetic, and the clients that want each event."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.pipeline.subscriptions.filter import (
    Filter,
    WatchedTask,
    list_of,
    offers_tasks,
    parse_filter,
    refetch_notices,
)

URIS = ["file:///a", "file:///a/", "file:///a/b", "file:///ab", "x://y"]
FILTERS = st.builds(
    Filter, st.frozensets(st.sampled_from(["tools", "prompts", "resources"])), st.frozensets(st.sampled_from(URIS))
)
TASKS = [WatchedTask(b"a", "1"), WatchedTask(b"a", "2"), WatchedTask(b"b", "1")]
OF_TASKS = st.builds(Filter, uris=st.frozensets(st.sampled_from(URIS)), tasks=st.frozensets(st.sampled_from(TASKS)))
EVENTS = st.one_of(
    st.tuples(
        st.sampled_from([f"notifications/{k}/list_changed" for k in ("tools", "prompts", "resources")]), st.none()
    ),
    st.tuples(st.just("notifications/resources/updated"), st.sampled_from([*URIS, "file:///a/b/c"])),
)


@given(FILTERS, FILTERS, EVENTS)
def test_the_union_wants_exactly_the_events_of_either_filter(
    a: Filter, b: Filter, event: tuple[str, str | None]
) -> None:
    both = a.union(b)
    assert both.wants(*event) == (a.wants(*event) or b.wants(*event))
    assert a.within(both)
    assert b.within(both)
    assert a.without(b).union(b) == both
    assert a.without(a).empty


@given(OF_TASKS, OF_TASKS)
def test_the_parts_for_all_endpoints_make_up_a_filter(a: Filter, b: Filter) -> None:
    assert a.at(b"a").union(a.at(b"b")) == a
    assert a.without(b).union(b) == a.union(b)
    assert a.common(b).within(a)
    for endpoint in (b"a", b"b"):
        assert a.at(endpoint).within(a.union(b).at(endpoint))
        assert a.at(endpoint).wire().get("taskIds", []) == sorted(t.id for t in a.tasks if t.endpoint == endpoint)


@pytest.mark.parametrize(
    ("discover", "offered"),
    [
        (None, True),
        (b'{"capabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}}', True),
        (b'{"capabilities":{"extensions":{"io.modelcontextprotocol/ui":{}}}}', False),
        (b'{"capabilities":{"extensions":["io.modelcontextprotocol/tasks"]}}', False),
        (b'{"capabilities":7}', False),
    ],
)
def test_tasks_are_followed_at_servers_with_their_extension(discover: bytes | None, offered: bool) -> None:
    assert offers_tasks(discover) is offered


@given(FILTERS)
def test_a_filter_survives_the_wire(filter: Filter) -> None:
    body = json.dumps({"params": {"notifications": filter.wire()}}).encode()
    assert parse_filter(body) == filter


@pytest.mark.parametrize(
    ("watched", "updated", "wanted"),
    [
        ("file:///a", "file:///a", True),
        ("file:///a", "file:///a/b", True),
        ("file:///a/", "file:///a/b", True),
        ("file:///a", "file:///ab", False),
        ("file:///a/b", "file:///a", False),
    ],
)
def test_an_update_of_a_part_of_a_watched_resource_is_wanted(watched: str, updated: str, wanted: bool) -> None:
    assert Filter(uris=frozenset([watched])).wants("notifications/resources/updated", updated) is wanted


@pytest.mark.parametrize("method", ["notifications/message", "notifications/progress", "notifications/unknown"])
def test_a_message_that_is_no_change_matches_no_filter(method: str) -> None:
    everything = Filter(frozenset(["tools", "prompts", "resources"]), frozenset(URIS))
    assert not everything.wants(method, None)
    assert list_of(method) is None


@pytest.mark.parametrize("bad", [{"toolsListChanged": 1}, {"resourceSubscriptions": "x"}, [], "x"])
def test_a_malformed_filter_is_refused(bad: object) -> None:
    with pytest.raises(msgspec.MsgspecError):
        parse_filter(json.dumps({"params": {"notifications": bad}}).encode())


def test_only_notifications_that_the_server_offers_are_honoured() -> None:
    everything = Filter(frozenset(["tools", "prompts", "resources"]), frozenset(["x://y"]))
    discover = {"capabilities": {"tools": {"listChanged": True}, "prompts": {}, "resources": {"subscribe": True}}}
    assert everything.honoured(json.dumps(discover).encode()) == Filter(frozenset(["tools"]), frozenset(["x://y"]))
    assert everything.honoured(b'{"capabilities":{}}').empty
    assert everything.honoured(None) == everything


@given(FILTERS)
def test_the_notices_after_a_gap_concern_all_that_is_watched(filter: Filter) -> None:
    notices = [json.loads(notice) for notice in refetch_notices(filter)]
    assert len(notices) == len(filter.lists) + len(filter.uris)
    assert all(filter.wants(notice["method"], notice["params"].get("uri")) for notice in notices)


@pytest.mark.parametrize(
    "odd", [b"true", b"[]", b"null", b'"yes"', b"7", b'{"listChanged":"yes","subscribe":1}', b'{"listChanged":[]}']
)
def test_capabilities_that_are_not_as_the_protocol_has_them_offer_nothing_and_spoil_nothing(odd: bytes) -> None:
    wanted = Filter(frozenset({"tools", "prompts"}), frozenset({"file:///a"}))
    result = b'{"capabilities":{"prompts":{"listChanged":true},"tools":%b,"resources":%b,"x":%b}}' % (odd, odd, odd)
    assert wanted.honoured(result) == Filter(frozenset({"prompts"}))
    for discover in (b'{"capabilities":%b}' % odd, odd, b"{}"):
        assert wanted.honoured(discover) == Filter()
