"""Members that another reader would confuse with known ones."""

from __future__ import annotations

import json

import pytest

from mcppool.wire.errors import INVALID_REQUEST, BadEnvelope
from mcppool.wire.rpc_request import parse_request

VERSION = "io.modelcontextprotocol/protocolVersion"
META = {VERSION: "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


def message(envelope: str = "", params: str = "", meta: str = "") -> bytes:
    """A call with more members, as JSON texts, in these places."""
    inside = json.dumps(META, separators=(",", ":"))[:-1] + meta + "}"
    return (
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{"Name":"x","name":"y"},'
        f'"_meta":{inside}{params}}}{envelope}}}'
    ).encode()


@pytest.mark.parametrize(
    "more",
    [
        {"params": ',"Name":"act"'},
        {"params": ',"NAME":"act"'},
        {"params": r',"\u004eame":"act"'},
        {"params": r',"name\u0000":"act"'},
        {"params": r',"\u006eame":"act"'},
        {"params": ',"name":"read"'},
        {"params": ',"URI":"file:///etc/passwd"'},
        {"params": ',"TaskID":"1"'},
        {"params": ',"Arguments":{"danger":1}'},
        {"params": ',"argument\u017f":{"danger":1}'},
        {"params": ',"ta\u017f\u212aId":"1"'},
        {"params": ',"_Meta":{}'},
        {"params": ',"Cursor":"1"'},
        {"params": ',"requeststate":"1"'},
        {"params": ',"x":1,"X":2'},
        {"envelope": ',"Params":{"name":"act"}'},
        {"envelope": ',"Method":"tools/list"'},
        {"envelope": ',"ID":2'},
        {"envelope": ',"Id":2'},
        {"envelope": ',"param\u017f":{"name":"act"}'},
        {"envelope": ',"JSONRPC":"2.0"'},
        {"envelope": ',"Result":{}'},
        {"envelope": ',"id":1'},
        {"envelope": ',"extra":1,"Extra":2'},
        {"meta": ',"IO.modelcontextprotocol/protocolVersion":"2025-11-25"'},
        {"meta": ',"io.modelcontextprotocol/clientcapabilities":{"roots":{}}'},
        {"meta": ',"ProgressToken":1'},
        {"meta": ',"x/tenant":"a","X/tenant":"b"'},
        {"meta": f',"{VERSION}":"2026-07-28"'},
    ],
)
def test_a_member_that_differs_from_a_known_one_or_another_in_case_only_is_refused(more: dict[str, str]) -> None:
    with pytest.raises(BadEnvelope) as refused:
        parse_request(message(**more))
    assert refused.value.code == INVALID_REQUEST


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"params": ',"names":1,"x-name":2,"Na me":3'},
        {"envelope": ',"extension":1,"methods":2'},
        {"meta": ',"com.example/tenant":"a","com.example/tenants":"b"'},
    ],
)
def test_members_of_other_names_and_arguments_pass(more: dict[str, str]) -> None:
    assert parse_request(message(**more)).name == "read"
