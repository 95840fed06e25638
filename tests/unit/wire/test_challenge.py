"""The URL of the metadata in `WWW-Authenticate`, of any scheme and form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.access.metadata import challenge
from mcppool.wire.challenge import resource_metadata


@pytest.mark.parametrize(
    ("value", "url"),
    [
        (b'Bearer resource_metadata="https://a/x"', "https://a/x"),
        (b"Bearer resource_metadata=https://a/x", "https://a/x"),
        (b'Bearer error="invalid_token" , Resource_Metadata = "https://a/x"', "https://a/x"),
        (b'Basic realm="x", DPoP algs="ES256", resource_metadata="https://a/x"', "https://a/x"),
        (rb'Bearer realm="a \"b\"", resource_metadata="https://a/\x"', "https://a/x"),
        (
            b'Bearer error_description="resource_metadata=https://evil/x", resource_metadata="https://a/x"',
            "https://a/x",
        ),
        (b'Bearer error_description="resource_metadata=https://evil/x"', None),
        (b'Bearer my_resource_metadata="https://evil/x"', None),
        (b'Bearer resource_metadata="https://a/' + b"x" * 3000 + b'"', None),
        ('Bearer resource_metadata="https://ä/x"'.encode(), None),
        (b"Bearer", None),
        (b"", None),
    ],
)
def test_the_url_is_read(value: bytes, url: str | None) -> None:
    assert resource_metadata(value) == url


@given(st.text(), st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"\\'), min_size=1))
def test_no_description_hides_or_replaces_the_url(description: str, path: str) -> None:
    url = f"https://a/{path}"
    value = challenge(error="invalid_token", description=description, scopes=("a", "b"), metadata=url)
    assert resource_metadata(value.encode()) == url


@given(st.binary(max_size=300))
def test_any_bytes_are_read(value: bytes) -> None:
    resource_metadata(value)
