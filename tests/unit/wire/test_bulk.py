"""Large messages that are odd: read or refused in a time that their bytes decide, and without an object for each."""

from __future__ import annotations

import tracemalloc

import pytest

from mcppool.wire.bulk import BULK
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.members import MAX_ESCAPES, MAX_HALVES, without_lone_surrogates
from mcppool.wire.rpc_request import parse_request

HEAD = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read",'
MANY = b",".join(b'"%x":1' % n for n in range(BULK // 4))


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call",' + MANY + b"}",
        HEAD + MANY + b"}}",
        HEAD + b'"_meta":{' + MANY + b"}}}",
        b'{"jsonrpc":"2.0","id":1,' + MANY + b',"result":{}}',
        HEAD + b'"x":"\\ud800",' + MANY + b"}}",
        HEAD + b'"uri":5,' + MANY + b"}}",
        b"[" + b"1," * BULK + b"1]",
    ],
    ids=["envelope", "params", "meta", "response", "half", "type", "batch"],
)
def test_a_large_message_of_unknown_members_is_refused_without_an_object_for_each(body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BadEnvelope):
            parse_request(body)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "body",
    [
        HEAD + b'"arguments":{"a":[' + b"1, " * BULK + b"1]}}}",
        b'{"jsonrpc":"2.0","id":1,"result":{"a":"' + b"x" * BULK + b'"}}',
        HEAD + b'"x":1,"arguments":{"a":"\\ud800' + b"\\n" * 100_000 + b"x" * BULK + b'"}}}',
        HEAD + b'"inputResponses":{"a":"' + b"x" * BULK + b'"},"y":2}}',
        HEAD + b'"arguments":{}' + b" " * BULK + b"}}",
    ],
    ids=["arguments", "response", "half", "input", "space"],
)
def test_a_large_message_with_its_bulk_in_arguments_is_read(body: bytes) -> None:
    assert parse_request(body).id in (b"1", None)


def test_of_many_halves_of_surrogate_pairs_nothing_is_mended() -> None:
    half = b"\\ud83d"
    pair = b"\\ud83d\\ude00"
    escaped = b"\\\\ud83d"
    some = (half + b"x" + pair + escaped) * MAX_HALVES
    assert without_lone_surrogates(some) == (b"\\ufffdx" + pair + escaped) * MAX_HALVES
    assert without_lone_surrogates(some + half) == some + half
    backslashes = half + b"\\n" * MAX_ESCAPES
    assert without_lone_surrogates(backslashes) == backslashes, "it takes too long"
    assert without_lone_surrogates(pair * 5000 + escaped * 5000) == pair * 5000 + escaped * 5000
    assert without_lone_surrogates(half + half + pair + b"\\udc00\\") == b"\\ufffd\\ufffd" + pair + b"\\ufffd\\"
