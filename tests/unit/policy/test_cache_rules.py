"""Cacheable answers: their keys, scopes and lifetimes."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mcppool.policy.cache_rules import Rule, canonical, key_of, method_rules, subject_of, tool_rule, verdict
from mcppool.spec import CacheSpec, CatalogSpec

CACHE = CacheSpec()
LIST = method_rules(CACHE, CatalogSpec(), 30.0)["tools/list"]
TOOL = tool_rule(CACHE, 60.0)
assert TOOL is not None

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=4)


def strict(value: Any) -> Any:
    """A value in which 1, 1.0 and True differ, as they do in JSON."""
    if isinstance(value, dict):
        return frozenset((name, strict(inner)) for name, inner in value.items())
    return tuple(map(strict, value)) if isinstance(value, list) else (type(value), repr(value))


def shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        names = list(value)
        rng.shuffle(names)
        return {name: shuffled(value[name], rng) for name in names}
    return [shuffled(inner, rng) for inner in value] if isinstance(value, list) else value


def call(arguments: bytes = b"{}", *, name: str = "t", more: bytes = b"") -> bytes:
    return b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%b,"arguments":%b%b}}' % (
        json.dumps(name).encode(),
        arguments,
        more,
    )


def key(body: bytes, principal: str | None = "p", headers: bytes = b"", rule: Rule = TOOL, version: str = "v") -> bytes:
    subject = subject_of(body, rule, "modern", version)
    assert subject is not None
    return key_of(subject, principal, headers)


@settings(max_examples=50, deadline=None)
@given(OBJECT, st.randoms(use_true_random=False), st.sampled_from([None, 1, 3]), st.booleans())
def test_order_of_names_white_space_and_escapes_do_not_matter(
    value: dict[str, Any], rng: random.Random, indent: int | None, escaped: bool
) -> None:
    one = json.dumps(value, ensure_ascii=False).encode()
    other = json.dumps(shuffled(value, rng), indent=indent, ensure_ascii=escaped).encode()
    assert canonical(one) == canonical(other) is not None


@settings(max_examples=50, deadline=None)
@given(OBJECT, OBJECT)
def test_different_requests_have_different_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    a, b = json.dumps(one).encode(), json.dumps(other).encode()
    assert (canonical(a) == canonical(b)) == (strict(one) == strict(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a":1}', b'{"a":1.0}'),
        (b'{"a":1}', b'{"a":"1"}'),
        (b'{"a":1}', b'{"a":true}'),
        (b'{"a":null}', b"{}"),
        (b'{"a":[1,2]}', b'{"a":[2,1]}'),
        (b'{"a":0.1}', b'{"a":0.10000000000000001}'),
        (b'{"a":12345678901234567890123}', b'{"a":12345678901234567890124}'),
        (b'{"a":{"b":1}}', b'{"a":{"b":2}}'),
        (b'{"a":"b\\",\\"c"}', b'{"a":"b","c":""}'),
    ],
)
def test_pairs_that_a_careless_key_confuses(one: bytes, other: bytes) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    "document",
    [
        b'{"a":1,"a":2}',
        b'{"a":1, "a":1}',
        b'{"x":{"a":1,"\\u0061":2}}',
        b'[{"a":1},{"b":[{"c":1,"c":1}]}]',
        b'{"q":1,"Q":2}',
        b'[{"b":[{"sk":1,"\\u017f\\u212a":2}]}]',
    ],
)
def test_a_name_that_is_there_twice_makes_a_call_uncacheable(document: bytes) -> None:
    assert canonical(document) is None
    assert subject_of(call(document), TOOL, "modern", "v") is None


@settings(max_examples=50, deadline=None)
@given(TEXT, TEXT, st.binary(max_size=20), st.binary(max_size=20))
def test_two_principals_never_have_the_same_key(one: str, other: str, headers: bytes, others: bytes) -> None:
    assume(one != other)
    try:
        (one + other).encode()
    except UnicodeEncodeError:
        return
    assert key(call(), one, headers) != key(call(), other, others)
    assert key(call(), one, headers) != key(call(), None)


def test_headers_that_tell_clients_apart_are_part_of_the_key_and_others_are_not() -> None:
    plain = key(call(), headers=b"accept: */*\r\nmcp-name: t\r\n")
    assert plain == key(call(), headers=b"traceparent: 00-1\r\naccept: application/json\r\n")
    tenant = key(call(), headers=b"x-tenant: a\r\naccept: */*\r\n")
    assert tenant == key(call(), headers=b"accept: */*\r\nx-tenant: a\r\n")
    assert len({plain, tenant, key(call(), headers=b"x-tenant: b\r\n"), key(call(), headers=b"x-api-key: a\r\n")}) == 4


@pytest.mark.parametrize("principal", ["p", None])
def test_a_listed_header_and_the_query_are_part_of_the_key_even_of_shared_answers(
    principal: str | None,
) -> None:
    def key_with(headers: bytes, query: bytes) -> bytes:
        subject = subject_of(call(), TOOL, "modern", "v", query)
        assert subject is not None
        return key_of(subject, principal, headers)

    keys = {
        key_with(headers, query)
        for headers in (b"", b"x-tenant: a\r\n", b"user-agent: a\r\n", b"mcp-param-region: eu\r\n", b"baggage: a=b\r\n")
        for query in (b"", b"read_only=true")
    }
    assert len(keys) == 10


def test_meta_is_part_of_the_key_except_members_that_differ_with_each_call() -> None:
    def key_with(meta: bytes, rule: Rule = TOOL) -> bytes:
        return key(call(more=b',"_meta":' + meta), rule=rule)

    same = {
        key_with(b'{"x/tenant":"a","progressToken":7}'),
        key_with(b'{"progressToken":"8", "x/tenant":"a"}'),
        key_with(b'{"x/tenant":"a","traceparent":"00-1","tracestate":"s"}'),
    }
    assert len(same) == 1
    others = {
        key_with(meta) for meta in (b"{}", b'{"x/tenant":"b"}', b'{"x/tenant":"a","io.x/clientInfo":{"name":"c"}}')
    }
    assert len(others | same) == 4
    assert subject_of(call(more=b',"_meta":{"x":{"a":1,"a":2}}'), TOOL, "modern", "v") is None


def test_meta_is_no_part_of_the_key_if_answers_are_the_same_for_all() -> None:
    uniform = method_rules(CACHE, CatalogSpec(uniform=True), 30.0)["tools/list"]
    listing = b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"x/who":"%b"}}}'
    assert key(listing % b"a", rule=uniform) == key(listing % b"b", rule=uniform)
    assert key(listing % b"a", rule=LIST) != key(listing % b"b", rule=LIST)


def test_the_id_is_no_part_of_the_key_and_everything_else_is() -> None:
    assert key(call()) == key(call(more=b',"_meta":{"progressToken":7}').replace(b'"id":1', b'"id":"x"'))
    listing = b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{%b}}'
    keys = {
        key(call()),
        key(call(name="u")),
        key(call(b'{"a":1}')),
        key(call(), version="w"),
        key(listing % b"", rule=LIST),
        key(listing % b'"cursor":""', rule=LIST),
        key(listing % b'"cursor":"a"', rule=LIST),
    }
    assert len(keys) == 7


@pytest.mark.parametrize(
    "more", [b',"requestState":"s"', b',"inputResponses":{}', b',"task":{"ttl":1}', b',"something":"new"']
)
def test_a_call_with_unknown_members_is_not_cacheable(more: bytes) -> None:
    assert subject_of(call(more=more), TOOL, "modern", "v") is None


@pytest.mark.parametrize(
    ("hints", "ttl"),
    [
        ({"ttlMs": 5000}, 5.0),
        ({"ttlMs": 10**12}, 3600.0),
        ({"ttlMs": 10**30}, 3600.0),
        ({"ttlMs": 10**4000}, 3600.0),
        ({"ttlMs": 0}, None),
        ({"ttlMs": -5}, None),
        ({"ttlMs": "5000"}, None),
        ({"ttlMs": 5.5}, None),
        ({"ttlMs": None}, None),
        ({}, None),
    ],
)
def test_a_list_is_cached_for_its_hint_up_to_the_pools_limit(hints: dict[str, Any], ttl: float | None) -> None:
    decision = verdict(LIST, json.dumps({"tools": [], **hints}).encode())
    assert (decision and decision.ttl) == ttl
    assert decision is None or decision.stale == ttl


@pytest.mark.parametrize(
    ("trusted", "uniform", "scope", "shared"),
    [
        (False, False, "public", False),
        (True, False, "public", True),
        (True, False, "private", False),
        (True, False, None, False),
        (True, False, "PUBLIC", False),
        (False, True, "private", True),
    ],
)
def test_scopes_of_cached_lists(trusted: bool, uniform: bool, scope: str | None, shared: bool) -> None:
    rule = method_rules(CACHE, CatalogSpec(trusted=trusted, uniform=uniform), 30.0)["tools/list"]
    decision = verdict(rule, json.dumps({"tools": [], "ttlMs": 1000, "cacheScope": scope}).encode())
    assert decision is not None
    assert decision.shared is shared


def test_lists_of_a_uniform_pool_without_hints_are_cached_until_the_next_probe() -> None:
    rules = method_rules(CACHE, CatalogSpec(uniform=True), 30.0)
    decision = verdict(rules["tools/list"], b'{"tools":[],"ttlMs":0}')
    assert decision is not None
    assert decision.ttl == 30.0
    assert verdict(rules["resources/read"], b'{"contents":[]}') is None


def test_a_tools_result_is_cached_only_by_the_pools_setting_whatever_its_hints() -> None:
    assert tool_rule(CACHE, None) is None
    decision = verdict(TOOL, b'{"content":[],"ttlMs":100000000,"cacheScope":"public"}')
    assert decision is not None
    assert (decision.ttl, decision.stale, decision.shared) == (60.0, 0.0, False)


def test_nothing_is_kept_without_a_cache_or_where_hints_are_not_followed() -> None:
    assert method_rules(CacheSpec(type="none"), CatalogSpec(uniform=True), 30.0) == {}
    assert tool_rule(CacheSpec(type="none"), 60.0) is None
    assert method_rules(CacheSpec(honor_hints=False), CatalogSpec(trusted=True), 30.0) == {}
