"""Access rules: their guarantees for every set of rules, principal and request."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.access_request import ACTS_ON, NOT_ALLOWED, PLUMBING, PRIMARY, TOOL_OVERRIDE, Decision, Request
from mcppool.policy.access_rule import claim_values
from mcppool.policy.access_rules import AccessRules
from mcppool.policy.principal import ANONYMOUS, Principal
from mcppool.spec import ToolSpec
from mcppool.spec.sections.access import AccessRuleSpec, AccessSpec

ALICE = Principal(
    "alice",
    method="jwt",
    subject="alice",
    groups=frozenset({"eng", "ops"}),
    scopes=frozenset({"read", "write"}),
    claims={"team": "search", "realm_access": {"roles": ["admin", "user"]}, "level": 3, "mfa": True},
    token_hash="t1",
)
TOOLS = ("search_docs", "search_web", "delete_all", "Delete_All", "exec")
URIS = ("docs://public/a", "docs://secret/a", "file:///public/../secret/a", "docs://public/%2e%2e/secret")


def rules(allow: list[dict[str, object]] | None = None, deny: list[dict[str, object]] | None = None) -> AccessRules:
    """Compiled rules, named by their numbers. Keys with empty values are left out."""

    def specs(letter: str, some: list[dict[str, object]] | None) -> tuple[AccessRuleSpec, ...]:
        written = [{key: value for key, value in rule.items() if value} for rule in some or []]
        return tuple(AccessRuleSpec.model_validate({"name": f"{letter}{n}"} | r) for n, r in enumerate(written))

    return AccessRules(AccessSpec(allow=specs("a", allow), deny=specs("d", deny)), {})


def calls(rules: AccessRules, tool: str | None, principal: Principal = ALICE, *arguments: str) -> Decision:
    """The decision on a call of a tool."""
    return rules.grant(principal).decide(Request("tools/call", "tool", tool, frozenset(arguments)))


def reads(rules: AccessRules, uri: str, principal: Principal = ALICE) -> bool:
    """Whether a resource may be read."""
    return rules.grant(principal).decide(Request("resources/read", "resource", uri)).allowed


# --- what holds for all rules -----------------------------------------------------------------------------------------

patterns = st.lists(
    st.sampled_from(["*", "search_*", "*_all", "exec", "!exec", "!search_web", "s*d*s"]), max_size=3, unique=True
).map(tuple)
uris = st.lists(
    st.sampled_from(["*", "docs://public/*", "docs://secret/*", "file:///*", "!docs://secret/*"]),
    max_size=2,
    unique=True,
).map(tuple)
some_rules = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "tools": patterns,
            "resources": uris,
            "scopes": st.sampled_from([(), ("read",), ("admin",), ("read", "admin")]),
            "groups": st.sampled_from([(), ("eng",), ("hr",), ("e*",)]),
            "claims": st.sampled_from([{}, {"team": ("search",)}, {"realm_access.roles": ("admin", "root")}]),
            "methods": st.sampled_from([(), ("tools/*",), ("resources/read",), ("!tools/call",)]),
        },
    ),
    max_size=4,
)
principals = st.sampled_from(
    [
        ALICE,
        replace(ALICE, key="bob", token_hash="t2", groups=frozenset({"hr"}), scopes=frozenset({"admin"})),
        ANONYMOUS,
    ]
)
requests = st.one_of(
    st.sampled_from(TOOLS).map(lambda name: Request("tools/call", "tool", name)),
    st.sampled_from(URIS).map(lambda uri: Request("resources/read", "resource", uri)),
    st.sampled_from(sorted(PLUMBING)).map(Request),
    st.sampled_from(["tasks/list", "odd/method", "TOOLS/CALL"]).map(Request),
)


@given(some_rules, principals, requests)
def test_a_deny_rule_that_concerns_everything_wins(
    allow: list[dict[str, object]], principal: Principal, request: Request
) -> None:
    assert not rules(allow, [{}]).grant(principal).decide(request).allowed


@given(some_rules, some_rules, some_rules, principals, requests)
def test_another_deny_rule_never_allows_more(
    allow: list[dict[str, object]],
    deny: list[dict[str, object]],
    more: list[dict[str, object]],
    principal: Principal,
    request: Request,
) -> None:
    before = rules(allow, deny).grant(principal).decide(request).allowed
    after = rules(allow, deny + more).grant(principal).decide(request).allowed
    assert before or not after


@given(some_rules, some_rules, some_rules, principals, requests)
def test_another_allow_rule_never_allows_less_than_the_others(
    allow: list[dict[str, object]],
    more: list[dict[str, object]],
    deny: list[dict[str, object]],
    principal: Principal,
    request: Request,
) -> None:
    if allow:
        before = rules(allow, deny).grant(principal).decide(request).allowed
        assert not before or rules(allow + more, deny).grant(principal).decide(request).allowed


@given(principals, requests)
def test_without_rules_everything_is_allowed(principal: Principal, request: Request) -> None:
    grant = rules().grant(principal)
    assert grant.decide(request).allowed
    assert grant.everything


@given(some_rules, some_rules, principals)
def test_what_a_list_shows_may_be_used(
    allow: list[dict[str, object]], deny: list[dict[str, object]], principal: Principal
) -> None:
    grant = rules(allow, deny).grant(principal)
    for kind, names in (("tool", TOOLS), ("resource", URIS)):
        for name in names:
            used = grant.decide(Request(PRIMARY[kind], kind, name)).allowed  # type: ignore[index,arg-type]
            assert grant.may_see(kind, name) == used  # type: ignore[arg-type]


@given(some_rules, some_rules, principals, requests)
def test_the_order_of_rules_does_not_matter(
    allow: list[dict[str, object]], deny: list[dict[str, object]], principal: Principal, request: Request
) -> None:
    first = rules(allow, deny).grant(principal).decide(request).allowed
    for order in list(permutations(allow))[:6]:
        assert rules(list(order), deny[::-1]).grant(principal).decide(request).allowed == first


@given(some_rules, some_rules, principals, requests)
def test_a_decision_is_the_same_when_it_is_remembered(
    allow: list[dict[str, object]], deny: list[dict[str, object]], principal: Principal, request: Request
) -> None:
    compiled = rules(allow, deny)
    assert compiled.grant(principal).decide(request) == compiled.grant(principal).decide(request)


@given(some_rules, some_rules, principals, requests)
def test_who_may_do_everything_is_refused_nothing(
    allow: list[dict[str, object]], deny: list[dict[str, object]], principal: Principal, request: Request
) -> None:
    grant = rules(allow, deny).grant(principal)
    assert not grant.everything or grant.decide(request).allowed


@given(some_rules, principals, requests)
def test_the_missing_scopes_are_enough(allow: list[dict[str, object]], principal: Principal, request: Request) -> None:
    compiled = rules(allow)
    decision = compiled.grant(principal).decide(request)
    if decision.missing:
        more = replace(principal, token_hash="more", scopes=principal.scopes | set(decision.missing))
        assert compiled.grant(more).decide(request).allowed


# --- examples ---------------------------------------------------------------------------------------------------------


def test_where_there_is_an_allow_rule_all_else_is_refused() -> None:
    only = rules([{"tools": ["search_*"]}])
    assert calls(only, "search_docs") == Decision(True, "a0")
    assert calls(only, "exec") == Decision(False, NOT_ALLOWED)
    assert not reads(only, "docs://public/a")
    assert not only.grant(ALICE).decide(Request("prompts/get", "prompt", "search_docs")).allowed
    assert not only.grant(ALICE).decide(Request("odd/method")).allowed


@pytest.mark.parametrize("method", sorted(PLUMBING))
def test_a_client_that_may_do_something_may_carry_on_a_conversation(method: str) -> None:
    assert rules([{"tools": ["search_*"]}]).grant(ALICE).decide(Request(method)).allowed


@pytest.mark.parametrize("method", sorted(PLUMBING | ACTS_ON.keys()))
def test_a_client_that_no_allow_rule_concerns_may_do_nothing(method: str) -> None:
    grant = rules([{"groups": ["hr"]}]).grant(ALICE)
    assert not grant.decide(Request(method, ACTS_ON.get(method), "x")).allowed


def test_a_list_of_all_clients_tasks_needs_a_rule_that_names_it() -> None:
    assert not rules([{"tools": ["*"]}]).grant(ALICE).decide(Request("tasks/list")).allowed
    assert rules([{"tools": ["*"]}, {"methods": ["tasks/list"]}]).grant(ALICE).decide(Request("tasks/list")).allowed


@pytest.mark.parametrize(
    "name", ["delete_all", "DELETE_ALL", "Delete_All", "delete_all ", "ｄelete_all", "delete_all\0x"]
)
def test_no_spelling_of_a_name_gets_around_a_deny_rule(name: str) -> None:
    assert calls(rules(deny=[{"tools": ["delete_*"]}]), name).rule == "d0"
    assert not calls(rules([{"tools": ["*", "!delete_*"]}]), name).allowed


@pytest.mark.parametrize("name", ["Search_docs", "ſearch_docs", " search_docs", "search", None])
def test_an_allow_rule_needs_the_very_name(name: str | None) -> None:
    assert not calls(rules([{"tools": ["search_*"]}]), name).allowed


@pytest.mark.parametrize(
    "uri",
    [
        "docs://secret/a", "DOCS://SECRET/a", "docs://secret//a", "docs:///secret/a", "docs:\\\\secret\\a",
        "docs://%73ecret/a", "docs://%2573ecret/a", "docs://public/../secret/a", "docs://public/%2e%2e/secret/a",
        "docs://public/%252e%252e/secret/a", "docs://public/..%2fsecret/a", "docs://public/..;/secret/a",
        "docs://public/．．/secret", "docs://secret/a%00", "docs://%c0%ae%c0%ae/secret/a",
        "docs://public/%25252525252e/secret",
    ],
)  # fmt: skip
def test_no_spelling_of_a_uri_gets_around_the_rules(uri: str) -> None:
    assert not reads(rules(deny=[{"resources": ["docs://secret/*"]}]), uri)
    assert not reads(rules([{"resources": ["docs://public/*"]}]), uri)
    assert not reads(rules([{"resources": ["*", "!docs://secret/*"]}]), uri)


@pytest.mark.parametrize(
    "uri", ["docs://public/a", "docs://public/a%20b", "docs://public/.hidden", "docs://public/a..b"]
)
def test_usual_uris_are_what_they_seem(uri: str) -> None:
    assert reads(rules([{"resources": ["docs://public/*"]}]), uri)
    assert reads(rules(deny=[{"resources": ["docs://secret/*"]}]), uri)


@pytest.mark.parametrize("method", ["Tools/Call", "tools/call ", "TOOLS/CALL"])
def test_a_method_that_lenient_servers_take_for_another_is_refused(method: str) -> None:
    assert not rules(deny=[{"tools": ["x"]}]).grant(ALICE).decide(Request(method)).allowed


def test_arguments_count_by_their_presence() -> None:
    forced = rules(deny=[{"tools": ["deploy"], "with_arguments": ["force"]}])
    assert calls(forced, "deploy", ALICE, "app").allowed
    assert not calls(forced, "deploy", ALICE, "app", "Force").allowed
    assert forced.grant(ALICE).may_see("tool", "deploy")
    dry = rules([{"tools": ["deploy"], "with_arguments": ["dry_run"]}, {"tools": ["q"], "without_arguments": ["sql"]}])
    assert calls(dry, "deploy", ALICE, "dry_run").allowed
    assert not calls(dry, "deploy", ALICE, "Dry_run").allowed
    assert calls(dry, "q").allowed
    assert not calls(dry, "q", ALICE, "SQL").allowed
    assert dry.grant(ALICE).may_see("tool", "deploy")


def test_a_call_whose_arguments_cannot_be_read_meets_no_condition() -> None:
    unread = Request("tools/call", "tool", "deploy", None)
    assert not rules(deny=[{"with_arguments": ["force"]}]).grant(ALICE).decide(unread).allowed
    assert not rules([{"without_arguments": ["force"]}]).grant(ALICE).decide(unread).allowed


def test_missing_scopes_are_named_only_to_who_can_get_them() -> None:
    step = rules([{"tools": ["search_*"]}, {"tools": ["exec"], "scopes": ["admin", "read"]}])
    assert calls(step, "exec") == Decision(False, NOT_ALLOWED, ("admin",))
    assert calls(step, "delete_all") == Decision(False, NOT_ALLOWED)
    key = replace(ALICE, key="key", method="api_keys")
    assert calls(step, "exec", key) == Decision(False, NOT_ALLOWED)


def test_a_tool_may_be_denied_to_everybody_without_a_rule() -> None:
    tools = {"exec*": ToolSpec(access="deny"), "exec_safe": ToolSpec(), "other": ToolSpec(idempotent=True)}
    overridden = AccessRules(AccessSpec(), tools)
    assert calls(overridden, "exec") == Decision(False, TOOL_OVERRIDE)
    assert not calls(overridden, "EXEC_rm").allowed
    assert calls(overridden, "exec_safe").allowed
    assert calls(overridden, "search_docs").allowed
    assert not overridden.grant(ALICE).may_see("tool", "exec")


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("team", ["search"]),
        ("realm_access.roles", ["admin", "user"]),
        ("level", ["3"]),
        ("mfa", ["true"]),
        ("realm_access", []),
        ("team.x", []),
        ("none", []),
    ],
)
def test_claims_are_compared_as_texts(path: str, values: list[str]) -> None:
    assert claim_values(ALICE.claims, path) == values


def test_a_claim_of_exactly_that_name_comes_before_a_path() -> None:
    assert claim_values({"a.b": "one", "a": {"b": "two"}}, "a.b") == ["one"]


def test_a_grant_is_recomputed_when_claims_change() -> None:
    by_team = rules([{"claims": {"team": ["search"]}}])
    assert calls(by_team, "exec").allowed
    assert not calls(by_team, "exec", replace(ALICE, claims={"team": "ads"})).allowed


@pytest.mark.parametrize("text", ["\ufdfa" * 5000, "a" + "\u0300\u0327" * 4000, "%41" * 5000, "e\u0301" * 300])
def test_a_name_that_takes_long_to_compare_is_allowed_by_everything_alone(text: str) -> None:
    for allow, allowed in (([{"tools": ["*"]}], True), ([{"tools": ["*", "!x"]}], text.isascii()), ([], True)):
        assert calls(rules(allow), text).allowed == allowed  # type: ignore[arg-type]
    assert calls(rules(deny=[{"tools": ["x"]}]), text).allowed == text.isascii()
    assert not reads(rules([{"resources": ["docs://*"]}]), "docs://" + text)
    assert not reads(rules(deny=[{"resources": ["x"]}]), "docs://" + text)


def test_decisions_do_not_grow_without_a_bound_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcppool.policy.access_rules.MAX_REMEMBERED_IN_ALL", 25)
    monkeypatch.setattr("mcppool.policy.access_rules.MAX_GRANTS", 3)
    compiled = rules([{"tools": ["*"]}])
    for number in range(9):
        for name in range(10):
            assert calls(compiled, str(name), replace(ALICE, key=str(number))).allowed
        held = [compiled.grant(replace(ALICE, key=str(n))).remembered for n in range(max(0, number - 2), number + 1)]
        assert sum(held) == min(25, 10 * len(held))


def test_grants_do_not_grow_without_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcppool.policy.access_rules.MAX_GRANTS", 10)
    monkeypatch.setattr("mcppool.policy.access_grant.MAX_REMEMBERED", 10)
    compiled = rules([{"tools": ["*"]}])
    for number in range(50):
        grant = compiled.grant(replace(ALICE, key=str(number)))
        for name in range(50):
            assert grant.decide(Request("tools/call", "tool", str(name))).allowed
        assert grant.remembered == 10
    assert compiled.remembered == 10
