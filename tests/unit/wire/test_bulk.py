"""Large messages that are odd: read or refused in a time that their bytes decide, and without an object for each."""

from __future__ import annotations

import tracemalloc

import pytest

from mcppool.wire.bulk import BULK
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.members import MAX_ESCAPES, MAX_HALVES, without_lone_surrogates
from mcppool.wire.message_ids import rewrite_ids
from mcppool.wire.rpc_request import parse_request
from mcppool.wire.rpc_response import parse_response

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


LONG = b"x" * (2 * BULK)
FROM_SERVERS = {
    "the text of progress": b'"method":"notifications/progress","params":{"progressToken":7,"message":"%b"}',
    "a log entry": b'"method":"notifications/message","params":{"level":"info","logger":"%b","data":{"message":"%b"}}',
    "a question": b'"id":1,"method":"elicitation/create","params":{"message":"%b","requestedSchema":{}}',
    "a notification's metadata": b'"method":"notifications/progress","params":{"progressToken":7,"_meta":{"x":"%b"}}',
    "an error's text": b'"id":1,"error":{"code":-32000,"message":"%b"}',
    "an error's data": b'"id":1,"error":{"code":-32000,"message":"m","data":"%b"}',
    "metadata of a result": b'"id":1,"result":{"content":[],"_meta":{"ui/html":"%b","progressToken":7}}',
    "a server's icon": b'"id":1,"result":{"serverInfo":{"name":"s","version":"1","icons":[{"src":"%b"}]}}',
    "a task's words": b'"id":1,"result":{"task":{"taskId":"t","statusMessage":"%b"}}',
    "members that are read elsewhere": b'"id":1,"result":{"message":"%b","uri":"%b","name":"%b","code":"%b"}',
}


@pytest.mark.parametrize("message", FROM_SERVERS.values(), ids=FROM_SERVERS)
def test_a_server_may_write_long_values_in_all_members_that_nothing_depends_on(message: bytes) -> None:
    document = b'{"jsonrpc":"2.0",%b}' % message.replace(b"%b", LONG)
    read = parse_response(document)
    assert read.method or read.id == b"1"
    assert read.is_error == (b'"error"' in message)
    assert read.task_id == ("t" if b"taskId" in message else None)
    changed = rewrite_ids(document, progress_token=b'"mine"')
    assert len(changed) >= len(document)
    assert changed.count(b'"mine"') == (b'"progressToken":7' in message and b'"params"' in message)


@pytest.mark.parametrize(
    "params",
    [
        b'"clientInfo":{"name":"c","version":"1","icons":[{"src":"%b"}]},"capabilities":{}',
        b'"_meta":{"progressToken":5,"example.com/context":"%b"}',
        b'"_meta":{"progressToken":5,"io.modelcontextprotocol/clientInfo":{"icons":["%b"]}}',
        b'"message":"%b","code":"%b"',
    ],
    ids=["icon", "metadata", "icon in metadata", "unknown members"],
)
def test_a_client_may_write_long_values_in_all_members_that_nothing_depends_on(params: bytes) -> None:
    document = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{%b}}' % params.replace(b"%b", LONG)
    read = parse_request(document)
    assert read.id == b"1"
    assert (bytes(read.progress_token) if read.progress_token else None) == (b"5" if b"Token" in params else None)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (b"capabilities", b'"method":"initialize","params":{"capabilities":{"a":"%b"}}'),
        (b"cursor", b'"method":"tools/list","params":{"cursor":"%b"}'),
        (b"requestState", b'"method":"tools/call","params":{"requestState":"%b"}'),
        (b"nextCursor", b'"result":{"nextCursor":"%b"}'),
    ],
)
def test_a_value_too_long_to_be_read_is_refused_by_name(member: bytes, message: bytes) -> None:
    document = b'{"jsonrpc":"2.0","id":1,%b}' % message.replace(b"%b", LONG)
    with pytest.raises(BadEnvelope, match=f'"{member.decode()}" alone has'):
        (parse_response if b"result" in message else parse_request)(document)


@pytest.mark.parametrize("part", [b'"params":{"_meta":{%b}}', b'"params":{%b}', b'%b,"params":{}'])
def test_a_repeated_member_is_found_in_a_large_message(part: bytes) -> None:
    twice = b'"progressToken":1,"a":"%b","progressToken":2' % LONG
    with pytest.raises(BadEnvelope, match="more than once"):
        parse_request(b'{"jsonrpc":"2.0","id":1,"method":"tools/list",%b}' % part.replace(b"%b", twice))
    meta = b'"_meta":{"a":"%b"},"_meta":{"progressToken":2}' % LONG
    with pytest.raises(BadEnvelope, match="more than once"):
        parse_request(b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{%b}}' % meta)
