"""Metadata of a pool and challenges, as RFC 9728 and RFC 6750 write them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.access.metadata import challenge, metadata_path, metadata_url, protected_resource


@pytest.mark.parametrize(
    ("resource", "url"),
    [
        ("https://a.example", "https://a.example/.well-known/oauth-protected-resource"),
        ("https://a.example/", "https://a.example/.well-known/oauth-protected-resource"),
        ("https://a.example/mcp", "https://a.example/.well-known/oauth-protected-resource/mcp"),
        ("https://a.example:8443/t/x/mcp", "https://a.example:8443/.well-known/oauth-protected-resource/t/x/mcp"),
    ],
)
def test_the_well_known_name_precedes_the_path_of_the_resource(resource: str, url: str) -> None:
    assert metadata_url(resource) == url
    assert url.endswith(metadata_path(resource))


def test_the_document_names_the_resource_and_its_issuers() -> None:
    document = json.loads(protected_resource("https://a.example/mcp", ["https://id.example"], ["read"], name="demo"))
    assert document == {
        "resource": "https://a.example/mcp",
        "authorization_servers": ["https://id.example"],
        "bearer_methods_supported": ["header"],
        "resource_name": "demo",
        "scopes_supported": ["read"],
    }


def test_a_request_without_a_credential_gets_no_error_code() -> None:
    value = challenge(scopes=["a", "b"], metadata="https://a.example/.well-known/oauth-protected-resource")
    assert value == 'Bearer scope="a b", resource_metadata="https://a.example/.well-known/oauth-protected-resource"'
    assert challenge() == 'Bearer realm="mcppool"'


@given(st.text())
def test_no_description_breaks_the_header(description: str) -> None:
    value = challenge(error="invalid_token", description=description)
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == (4 if description else 2)
    assert "\\" not in value
