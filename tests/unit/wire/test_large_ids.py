"""The id in the end of a large message is the one that a reader of the whole message finds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.wire.errors import BadEnvelope
from mcppool.wire.large_ids import id_at_end
from mcppool.wire.members import spans

NAMES = st.sampled_from(["id", "x", ',"id":1}', "i", '{"id":2}', "\\"])
LEAVES = st.one_of(NAMES, st.integers(), st.booleans(), st.none())
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)
IDS = st.one_of(st.integers(), st.text(max_size=5), st.sampled_from([',"id":7}', '"', "\\"]))
OTHERS = st.dictionaries(st.sampled_from(["jsonrpc", "_meta", "x"]), VALUES, max_size=3)


@settings(max_examples=50, deadline=None)
@given(result=VALUES, before=OTHERS, id=IDS, behind=OTHERS, spaces=st.sampled_from([None, 1]), cut=st.integers(0, 400))
def test_it_is_the_id_of_the_message_itself(
    result: object, before: dict[str, object], id: object, behind: dict[str, object], spaces: int | None, cut: int
) -> None:
    message = {"result": result, **before, "id": id}
    message |= {name: value for name, value in behind.items() if name not in message}
    whole = json.dumps(message, indent=spaces, separators=None if spaces else (",", ":")).encode()
    start, end = spans(whole)["id"]
    at = min(cut, whole.rindex(b'"id"', 0, start) - 1 if spaces is None else 0)
    found = id_at_end(whole[at:])
    assert found is not None
    assert (found[0] + at, found[1] + at) == (start, end)


@settings(max_examples=50, deadline=None)
@given(result=VALUES, cut=st.integers(0, 400))
def test_no_other_id_is_taken_for_it(result: object, cut: int) -> None:
    whole = json.dumps({"result": result, "jsonrpc": "2.0"}, separators=(",", ":")).encode()
    assert id_at_end(whole[cut:]) is None


@pytest.mark.parametrize("end", [b'x"},"id":1,"id":2}', b'x"},"id":1,"x":{},"x":2}', rb'x"},"id":1,"\u0069d":2}'])
def test_a_member_that_occurs_twice_is_refused(end: bytes) -> None:
    with pytest.raises(BadEnvelope, match="more than once"):
        id_at_end(end)
