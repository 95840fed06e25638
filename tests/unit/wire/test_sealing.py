from __future__ import annotations

import base64
import json
import random
import string
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.wire.sealing import (
    MAX_CAPABILITIES,
    MAX_TOKEN,
    Key,
    KeyRing,
    SessionClaims,
    compressed,
    context,
    generate_key_line,
    inflated,
    open_sealed,
    parse_keys,
    seal,
)

KEY = Key("k1", bytes(range(32)))
OTHER = Key("k2", bytes(range(1, 33)))
RING = KeyRing([KEY, OTHER])
HERE = context("search", "anonymous")
CLAIMS = SessionClaims(
    endpoint="http://127.0.0.1:8001/mcp",
    upstream_session="c28c0293a3a843ee8af82032e3f04a6f",
    version="2025-11-25",
    capabilities=compressed(b'{"elicitation":{"form":{}},"sampling":{}}'),
    client=b'{"name":"desk","version":"2.1"}',
    issued=1_795_000_000,
    expires=1_795_604_800,
)

text = st.text(st.characters(codec="utf-8"), max_size=60)
claims = st.builds(
    SessionClaims,
    endpoint=text,
    upstream_session=text,
    version=text,
    capabilities=st.none() | st.binary(max_size=500),
    client=st.binary(max_size=200),
    issued=st.integers(0, 2**40),
    expires=st.integers(0, 2**40),
)


@given(claims, text, text)
def test_claims_come_back_as_they_were_sealed(sealed: SessionClaims, pool: str, principal: str) -> None:
    token = seal(sealed, RING, context(pool, principal))
    assert open_sealed(token, RING, context(pool, principal)) == sealed
    assert set(token) <= set(string.ascii_letters + string.digits + "-_.")


def test_a_usual_token_is_short() -> None:
    assert len(seal(CLAIMS, RING, HERE)) < 320


def test_two_tokens_of_the_same_claims_differ() -> None:
    assert seal(CLAIMS, RING, HERE) != seal(CLAIMS, RING, HERE)


@given(st.data())
def test_a_changed_token_opens_as_nothing(data: st.DataObject) -> None:
    token = seal(CLAIMS, RING, HERE)
    position = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from([c for c in string.printable + "é" if c != token[position]]))
    assert open_sealed(token[:position] + other + token[position + 1 :], RING, HERE) is None


@given(st.data())
def test_a_cut_or_lengthened_token_opens_as_nothing(data: st.DataObject) -> None:
    token = seal(CLAIMS, RING, HERE)
    assert open_sealed(token[: data.draw(st.integers(0, len(token) - 1))], RING, HERE) is None
    assert open_sealed(token + data.draw(st.text(string.printable, min_size=1, max_size=5)), RING, HERE) is None


@pytest.mark.parametrize("client", [b"", b"x", b"xx"])
def test_a_token_has_one_spelling_so_that_an_ended_session_cannot_come_back_under_another(client: bytes) -> None:
    token = seal(changed(client=client), RING, HERE)
    others = [token[:-1] + last for last in string.ascii_letters + string.digits + "-_" if last != token[-1]]
    assert [open_sealed(other, RING, HERE) for other in [*others, token + "=", token + "=="]] == [None] * 65


@given(st.text() | st.binary().map(lambda raw: "k1." + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()))
def test_any_other_text_opens_as_nothing(token: str) -> None:
    assert open_sealed(token, RING, HERE) is None


@given(text, text)
def test_a_token_of_another_pool_or_principal_opens_as_nothing(pool: str, principal: str) -> None:
    token = seal(CLAIMS, RING, context("a", "b"))
    opened = open_sealed(token, RING, context(pool, principal))
    assert (opened is not None) == ((pool, principal) == ("a", "b"))


def test_pool_and_principal_cannot_be_shifted_into_each_other() -> None:
    assert context("ab", "c") != context("a", "bc")


def test_a_token_of_a_key_that_was_dropped_opens_as_nothing() -> None:
    token = seal(CLAIMS, KeyRing([KEY]), HERE)
    assert open_sealed(token, KeyRing([OTHER]), HERE) is None


def test_a_token_under_the_name_of_another_key_opens_as_nothing() -> None:
    token = seal(CLAIMS, RING, HERE)
    assert open_sealed("k2" + token.removeprefix("k1"), RING, HERE) is None


def test_keys_rotate_while_both_orders_are_out_there() -> None:
    before, after = KeyRing([KEY, OTHER]), KeyRing([OTHER, KEY])
    assert open_sealed(seal(CLAIMS, before, HERE), after, HERE) == CLAIMS
    assert open_sealed(seal(CLAIMS, after, HERE), before, HERE) == CLAIMS
    assert seal(CLAIMS, after, HERE).startswith("k2.")


def test_large_capabilities_are_compressed() -> None:
    large = json.dumps({"extensions": {f"com.example/{n}": {"mode": "on"} for n in range(200)}}).encode()
    small = compressed(large)
    assert small is not None
    assert len(small) <= MAX_CAPABILITIES
    assert inflated(small) == large
    assert len(seal(changed(capabilities=small), RING, HERE)) < 3000


@pytest.mark.parametrize(("size", "letters"), [(4_000, string.ascii_letters), (1_000_000, "a")])
def test_capabilities_too_large_to_be_kept_are_left_out(size: int, letters: str) -> None:
    noise = bytes(random.Random(7).choices(letters.encode(), k=size))
    assert compressed(b'{"x":"' + noise + b'"}') is None


def test_a_session_too_long_for_a_header_is_refused_when_sealed() -> None:
    with pytest.raises(ValueError, match="too long"):
        seal(changed(upstream_session="x" * MAX_TOKEN), RING, HERE)


def changed(**changes: object) -> SessionClaims:
    from msgspec.structs import replace

    return replace(CLAIMS, **changes)


# ---- key files


def test_a_generated_line_is_a_key_file() -> None:
    line = generate_key_line(1_795_000_000.0)
    ring = parse_keys(line)
    assert line.startswith("20261118-")
    assert open_sealed(seal(CLAIMS, ring, HERE), ring, HERE) == CLAIMS
    assert generate_key_line(1_795_000_000.0) != line


def test_the_first_line_mints_and_comments_are_ignored() -> None:
    one, two = generate_key_line(0.0), generate_key_line(0.0)
    ring = parse_keys(f"# rotated on Monday\n\n{one}\n  {two}  \r\n")
    assert [key.id for key in ring.keys] == [one.partition(":")[0], two.partition(":")[0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "keys.txt: a key ring needs at least one key"),
        ("# nothing\n", "keys.txt: a key ring needs at least one key"),
        ("\nsecret", "keys.txt:2: expected id:base64"),
        ("a:not base64!", "keys.txt:1: the secret is not base64"),
        ("a:c2hvcnQ=", "keys.txt:1: key 'a': the secret has 5 bytes, not 32"),
        ("a b:" + base64.b64encode(bytes(32)).decode(), "keys.txt:1: key id 'a b'"),
        (":" + base64.b64encode(bytes(32)).decode(), "keys.txt:1: key id ''"),
        (("a:" + base64.b64encode(bytes(32)).decode() + "\n") * 2, "keys.txt: two keys of the ring have the same id"),
    ],
)
def test_a_wrong_key_file_is_refused_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_keys(text, "keys.txt")
    assert str(refused.value).startswith(message)


def test_secrets_are_not_shown() -> None:
    key = Key("k", b"s" * 32)
    assert "sss" not in repr(key)
    assert "sss" not in repr(KeyRing([key]))
    with pytest.raises(ValueError, match="expected") as refused:
        parse_keys("averysecrettext")
    assert "averysecret" not in str(refused.value)


def test_cryptography_is_loaded_when_the_first_token_is_sealed_and_not_before() -> None:
    code = "import mcppool.wire.sealing, sys; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
