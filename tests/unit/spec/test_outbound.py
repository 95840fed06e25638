"""`auth.outbound`: accepted values, and the messages about mistakes."""

from __future__ import annotations

import pytest

from mcppool.spec import ConfigError, PoolSpec, loads_toml
from mcppool.spec.resource import read_resource
from mcppool.spec.secret_refs import secret_keys

POOL = '\n[[pools]]\nname = "a"\nendpoints = ["http://127.0.0.1:8001/mcp"]\n'
TOKEN = '[auth.outbound]\ntype = "token"\n[auth.outbound.token]\ntoken_file = "/t"\n'
CLIENT = '[auth.outbound]\ntype = "client_credentials"\n[auth.outbound.client_credentials]\nclient_id = "me"\n'


def read(text: str) -> PoolSpec:
    return loads_toml(text + POOL).pools[0]


def problem(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value.problems[0])


@pytest.mark.parametrize(
    ("more", "scheme"),
    [("", "Bearer "), ('prefix = "Token "', "Token "), ('prefix = ""', ""), ('header = "X-Api-Key"', "")],
)
def test_a_token_is_a_bearer_token_in_authorization_alone(more: str, scheme: str) -> None:
    token = read(TOKEN + more).auth.outbound.token
    assert token is not None
    assert token.scheme == scheme


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[auth.outbound]\ntype = "token"\n', "token must be set if type is token"),
        (TOKEN.replace('"token"', '"none"'), "token may be set only if type is token"),
        (TOKEN + 'header = "Host"\n', "concerns one connection"),
        (TOKEN + 'header = "Mcp-Name"\n', "belongs to the protocol"),
        (TOKEN + '[headers.send]\nAuthorization = "x"\n', "authorization is set by auth.outbound.token too"),
        (TOKEN + 'header = "X-Key"\n[headers]\nforward = ["x-key"]\n', "x-key is set by auth.outbound.token too"),
        (CLIENT + 'client_secret_file = "/s"\n', "exactly one of issuer, token_url must be set"),
        (CLIENT + 'token_url = "https://a.example/t"\n', "exactly one of client_secret_file, private_key_file"),
        (
            CLIENT + 'token_url = "http://a.example/t"\nclient_secret_file = "/s"\n',
            "must use https",
        ),
        (
            CLIENT + 'issuer = "https://a.example?x=1"\nclient_secret_file = "/s"\n',
            "has a query or a fragment",
        ),
        (
            CLIENT + 'issuer = "https://a.example"\nclient_secret_file = "/s"\nkey_id = "k"\n',
            "key_id has no effect without private_key_file",
        ),
        (
            CLIENT + 'issuer = "https://a.example"\nclient_secret_file = "/s"\nscopes = ["a b"]\n',
            "printable ASCII without spaces",
        ),
    ],
)
def test_a_mistake_is_named(text: str, why: str) -> None:
    assert why in problem(text)


def test_who_looks_for_pins_among_the_tools_is_told_where_they_are() -> None:
    assert '"deny" is no table of a tool; catalog.pin pins all tools' in problem('[tools]\npin = "deny"\n')
    assert read('[catalog]\npin = "deny"\n[tools.pin]\nidempotent = true\n').tools["pin"].idempotent


def test_an_endpoint_cannot_replace_the_pools_credentials() -> None:
    pool = (
        '\n[[pools]]\nname = "a"\nendpoints = [{url = "http://127.0.0.1:8001/mcp", headers = {authorization = "x"}}]\n'
    )
    with pytest.raises(ConfigError, match=r"authorization is set by auth[.]outbound[.]token too"):
        loads_toml(TOKEN + pool)


def test_a_resource_names_secrets_in_place_of_files() -> None:
    outbound = {
        "type": "ClientCredentials",
        "clientCredentials": {
            "issuer": "https://a.example",
            "clientId": "me",
            "clientSecretRef": {"name": "idp", "key": "secret"},
            "caSecretRef": {"name": "idp", "key": "ca.crt"},
        },
    }
    spec = {
        "source": {"type": "Static", "static": {"endpoints": ["http://10.0.0.1/mcp"]}},
        "auth": {"inbound": {"type": "None"}, "outbound": outbound},
    }
    pool = read_resource({"metadata": {"name": "a"}, "spec": spec}).pool
    assert [key.key for key in secret_keys(pool)] == ["ca.crt", "secret"]
