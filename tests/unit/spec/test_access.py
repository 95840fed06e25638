"""`access` and `audit`: accepted values, and the messages about mistakes."""

from __future__ import annotations

import pytest

from mcppool.spec import ConfigError, loads_toml
from mcppool.spec.advice import advice

POOL = '[[pools]]\nname = "a"\nendpoints = ["http://a/mcp"]\n'
KEYS = 'auth.inbound = {type = "api_keys", api_keys = {keys_file = "k"}}\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            'access.allow = [{name = "x", scopes = ["a"]}]',
            "access.allow[0].scopes: no client can match: auth.inbound.type is none, which",
        ),
        ('access.deny = [{name = "x", claims = {a = ["b"]}}]', "access.deny[0].claims: no client can match"),
        (KEYS + 'access.allow = [{name = "x"}, {name = "x"}]', "access.allow[1]: x is listed twice"),
        (
            KEYS + 'access = {allow = [{name = "x"}], deny = [{name = "x"}]}',
            'access.deny[0].name: a rule of allow is named "x", too',
        ),
        (
            KEYS + 'access.allow = [{name = "x", claims = {a = ["b"]}}]',
            "auth.inbound.type is api_keys, which tells nothing",
        ),
        (KEYS + "access.allow = [{}]", "access.allow[0].name: is missing"),
        (KEYS + 'access.allow = [{name = "A b"}]', "at most 64 lower-case letters"),
        (KEYS + 'access.allow = [{name = "x", tools = [""]}]', "a name in which `*` stands for any text"),
        (KEYS + 'access.allow = [{name = "x", tools = ["!"]}]', "a name in which `*` stands for any text"),
        (KEYS + 'access.allow = [{name = "x", methods = ["tools call"]}]', "a method such as tools/call"),
        (KEYS + 'access.allow = [{name = "x", tool = ["a"]}]', 'unknown key "tool"; did you mean "tools"?'),
        (
            KEYS + 'access.allow = [{name = "x", tools = []}]',
            "access.allow[0].tools: [] is not allowed; allowed: a list of",
        ),
        (KEYS + 'access.allow = [{name = "x", groups = []}]', "access.allow[0].groups: [] is not allowed"),
        (KEYS + 'access.allow = [{name = "x", scopes = ["a b"]}]', 'scopes[0]: "a b" is not allowed; allowed: visible'),
        (
            'auth.inbound = {type = "api_keys", api_keys = {keys_file = "k"}, required_scopes = ["a\\nb"]}',
            'required_scopes[0]: "a\\nb" is not allowed; allowed: visible',
        ),
        (
            'auth.inbound = {type = "api_keys", api_keys = {keys_file = "k"}, dpop = "required"}',
            "auth.inbound.dpop: needs access tokens of an issuer: type jwt or introspection",
        ),
        (
            'auth.inbound = {type = "jwt", jwt = {issuers = [{issuer = "https://id.example"}]}, dpop_nonce = true}',
            "auth.inbound.dpop_nonce: has no effect, because dpop is off",
        ),
        ('auth.inbound.dpop = "on"', 'dpop: "on" is not allowed; allowed: off, accepted, required'),
        ('headers.forward = ["DPoP"]', "servers must not get a client's credentials"),
        (KEYS + 'access.deny = [{name = "not_allowed"}]', 'deny[0].name: "not_allowed" stands for something else'),
        (KEYS + 'access.mode = "on"', "allowed: enforce, shadow"),
        (
            KEYS + 'access.deny = [{name = "x", resources = ["a"], with_arguments = ["b"]}]',
            "with_arguments has no effect: to read a resource takes no arguments",
        ),
        ('audit.type = "file"', "audit.file: file must be set if type is file"),
        ('audit = {type = "file", file = "/var/log/"}', "the name of a file"),
        ('audit = {type = "stdout", buffer = "1B"}', "from 64KiB"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_is_allowed(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads_toml(POOL + text)
    assert problem in str(caught.value)


def test_a_published_rule_is_read_again_as_it_was() -> None:
    text = 'access.allow = [{name = "x", tools = ["a"]}, {name = "y"}]'
    access = loads_toml(POOL + KEYS + text).pools[0].access
    assert access.written()["allow"] == [{"name": "x", "tools": ["a"]}, {"name": "y"}]
    assert type(access).model_validate(access.written()) == access


def test_a_refused_item_does_not_make_its_list_too_short_as_well() -> None:
    text = 'auth.inbound = {type = "jwt", jwt = {issuers = [{issuer = "http://id.example", algorithms = ["none"]}]}}'
    with pytest.raises(ConfigError) as caught:
        loads_toml(POOL + text)
    place = "pools[0].auth.inbound.jwt.issuers[0]"
    assert sorted(p.path for p in caught.value.problems) == [f"{place}.algorithms[0]", f"{place}.issuer"]


def test_the_header_with_the_keys_of_clients_is_not_forwarded_to_the_servers() -> None:
    keys = 'auth.inbound = {type = "api_keys", api_keys = {keys_file = "k", header = "X-Api-Key"}}\n'
    with pytest.raises(ConfigError, match=r"headers\.forward has x-api-key, the header with the API keys"):
        loads_toml(POOL + keys + 'headers.forward = ["x-api-key"]')
    assert loads_toml(POOL + keys + 'headers.forward = ["x-tenant"]').pools
    with pytest.raises(ConfigError, match=r'header: "Traceparent" has another meaning'):
        loads_toml(POOL + keys.replace("X-Api-Key", "Traceparent"))


@pytest.mark.parametrize("denied", ["step_up", "unknown", "forbidden"])
def test_rules_about_known_clients_are_accepted(denied: str) -> None:
    text = f'access = {{denied = "{denied}", allow = [{{name = "x", scopes = ["a"], tools = ["b*", "!bc"]}}]}}'
    (pool,) = loads_toml(POOL + KEYS + text).pools
    assert pool.access.allow[0].tools == ("b*", "!bc")


def test_who_only_tries_rules_is_told_that_they_refuse_nothing() -> None:
    text = 'access = {mode = "shadow", deny = [{name = "x", tools = ["a"]}]}'
    assert advice(loads_toml(POOL + text)) == ("pool a: access.mode is shadow, so the access rules refuse nothing",)


def test_pools_that_share_an_audit_log_and_differ_about_it_are_told() -> None:
    audit = 'audit = {type = "file", file = "x", keep = KEEP}\n'
    other = POOL.replace('"a"', '"b"')
    assert advice(loads_toml(POOL + audit.replace("KEEP", "3") + other + audit.replace("KEEP", "3"))) == ()
    (sentence,) = advice(loads_toml(POOL + audit.replace("KEEP", "3") + other + audit.replace("KEEP", "4")))
    assert "pools a and b share the audit log x" in sentence
