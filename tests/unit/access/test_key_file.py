"""The file of API keys: written keys are read back, and mistakes are named without showing a hash."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.access.key_file import ApiKey, hash_of, new_key, parse_keys, render_key

WORDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"\\'), min_size=1, max_size=9)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,20}", fullmatch=True)
TIMES = st.none() | st.integers(0, 4_000_000_000).map(float)
KEYS = st.builds(
    ApiKey,
    NAMES,
    st.binary(min_size=32, max_size=32),
    TIMES,
    st.lists(WORDS, max_size=3).map(tuple),
    st.lists(WORDS, max_size=3).map(tuple),
    TIMES,
)
HASH = "sha256:" + "0f" * 32


@given(st.lists(KEYS, max_size=5, unique_by=lambda key: key.hash))
def test_what_is_written_is_read_back(keys: list[ApiKey]) -> None:
    assert parse_keys("".join(map(render_key, keys))) == tuple(keys)


def test_a_key_has_256_random_bits_and_a_prefix_for_scanners() -> None:
    keys = {new_key() for _ in range(50)}
    assert len(keys) == 50
    for key in keys:
        assert key.startswith("mcppool_")
        assert len(key) == len("mcppool_") + 43  # 32 bytes in base64url
        assert hash_of(key) == hashlib.sha256(key.encode()).digest()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("keys = 1", "something else than"),
        ("keys = " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ('name = "a"', "something else than"),
        ("[[keys]", "is not TOML"),
        (f'[[keys]]\nhash = "{HASH}"', "keys[1]: name is missing"),
        ('[[keys]]\nname = "a"', 'keys[1] ("a"): hash is missing'),
        ('[[keys]]\nname = "a"\nhash = "sha256:00"', 'keys[1] ("a"): hash is missing, or is not'),
        (f'[[keys]]\nname = "a b"\nhash = "{HASH}"', "'a b' cannot be the name of a key"),
        (f'[[keys]]\nname = "a"\nhash = "{HASH}"\nexpires = "soon"', "expires is not a date"),
        (f'[[keys]]\nname = "a"\nhash = "{HASH}"\nscopes = "x"', "groups and scopes are lists"),
        (f'[[keys]]\nname = "a"\nhash = "{HASH}"\nscopes = ["x y"]', "'x y' cannot be one of scopes"),
        (f'[[keys]]\nname = "a"\nhash = "{HASH}"\nexpire = 2027-01-01', "unknown key 'expire'; known are created"),
        (f'[[keys]]\nname = "a"\nhash = "{HASH}"\n' * 2, "has the same key twice"),
    ],
)
def test_a_mistake_is_named_and_no_hash_is_shown(text: str, problem: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 (the message is checked below)
        parse_keys(text)
    assert problem in str(raised.value)
    assert "0f0f" not in str(raised.value)


def test_a_date_without_a_zone_is_in_utc() -> None:
    entry = f'[[keys]]\nname = "a"\nhash = "{HASH}"\nexpires = '
    times = {
        parse_keys(entry + text)[0].expires for text in ("2027-01-01", "2027-01-01T00:00:00", "2027-01-01T00:00:00Z")
    }
    assert times == {1_798_761_600.0}
