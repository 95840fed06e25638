"""An id at its usual place is replaced as it is replaced anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.pipeline.request_id import reissue_small
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.message_ids import replace_id, splice_id
from mcppool.wire.rpc_request import parse_request
from mcppool.wire.rpc_response import parse_response

IDS = st.one_of(st.integers(-3, 10**6), st.sampled_from(["a", "", "1", "é", "\\", '"', "}", ',"id":1}', 1.5, 1e3]))
VALUES = st.sampled_from([{}, {"id": 1}, {"x": {"id": "a"}}, {"x": ['"id":1}']}, {"x": ',"id":1}'}, None])
SPACES = st.sampled_from([(",", ":"), (", ", ": "), (",", ": ")])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A message with its members in any order."""
    members: list[tuple[str, Any]] = [("jsonrpc", "2.0"), ("id", draw(IDS))]
    members += [("result", {"x": draw(VALUES)})] if draw(st.booleans()) else [("method", "x"), ("params", draw(VALUES))]
    text = json.dumps(dict(draw(st.permutations(members))), separators=draw(SPACES), ensure_ascii=draw(st.booleans()))
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf", b" "])) + text.encode() + draw(st.sampled_from([b"", b"\n"]))


@given(messages())
def test_a_spliced_id_is_a_replaced_one(message: bytes) -> None:
    id = (parse_response if b'"result"' in message else parse_request)(message).id
    assert id is not None
    assert splice_id(message, id, b'"new"') in (None, replace_id(message, b'"new"'))


@pytest.mark.parametrize("order", [("jsonrpc", "id", "method", "params"), ("method", "params", "jsonrpc", "id")])
@pytest.mark.parametrize("id", [1, 123456, "a-b", "x" * 200])
def test_the_ids_of_usual_writers_are_spliced(order: tuple[str, ...], id: Any) -> None:
    members = {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"arguments": {"id": id}}}
    message = json.dumps({name: members[name] for name in order}, separators=(",", ":")).encode()
    spliced = splice_id(message, json.dumps(id).encode(), b'"new"')
    assert spliced is not None
    assert json.loads(spliced) == members | {"id": "new"}


@pytest.mark.parametrize(
    "answer",
    [
        '{"jsonrpc":"2.0","id":%s,"result":{}}',
        '{"result":{},"jsonrpc":"2.0","id":%s}',
        '{"jsonrpc":"2.0","id":%s,"result":{"id":%s,"text":%s}}',
        '{"jsonrpc":"2.0","id":%s,"result":{"text":"~"}}',
        '{"id":%s,"jsonrpc":"2.0","result":{}}\n',
    ],
)
def test_an_answer_gets_the_id_of_the_client_back_and_nothing_else_changes(answer: str) -> None:
    body = b'{"jsonrpc":"2.0","id":7,"method":"x"}'
    again = reissue_small(parse_request(body), body, 1)
    assert again is not None
    assert parse_request(again.body).id == again.id
    text = answer.replace("%s", again.id.decode())
    restored = json.loads(again.restore(text.encode()))
    assert restored == json.loads(text) | {"id": 7}


@given(messages(), st.booleans())
def test_a_request_and_its_answer_change_in_their_ids_only(message: bytes, tilde: bool) -> None:
    """Whatever id the client has, wherever it stands, and whatever else the messages hold."""
    is_answer = b'"result"' in message
    id = (parse_response if is_answer else parse_request)(message).id
    assert id is not None
    request = b'{"jsonrpc":"2.0","id":%b,"method":"x"}' % id if is_answer else message
    again = reissue_small(parse_request(request), request, 1)
    assert again is not None
    assert again.body == replace_id(request, again.id)
    answer = replace_id(message if is_answer else b'{"jsonrpc":"2.0","id":0,"result":{}}', again.id)
    if tilde:
        answer = answer.replace(b'"x"', b'"~"')
    assert parse_response(answer).id == again.id
    assert again.restore(answer) == replace_id(answer, id)


def test_no_two_requests_of_ours_have_the_same_id() -> None:
    body = b'{"jsonrpc":"2.0","id":7,"method":"x"}'
    made = [reissue_small(parse_request(body), body, 1 + number % 3) for number in range(100)]
    assert len({again.id for again in made if again is not None}) == 100


def test_a_server_that_repeats_the_id_is_refused() -> None:
    body = b'{"jsonrpc":"2.0","id":7,"method":"x"}'
    again = reissue_small(parse_request(body), body, 1)
    assert again is not None
    with pytest.raises(BadEnvelope):
        again.restore(b'{"jsonrpc":"2.0","id":%b,"result":{},"id":%b}' % (again.id, again.id))
