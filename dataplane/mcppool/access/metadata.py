"""OAuth metadata of a pool: where clients find its authorization servers (RFC 9728), and challenges (RFC 6750)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


def metadata_path(resource: str) -> str:
    """The path of a resource's metadata: the well-known name before the resource's own path (RFC 9728 §3.1)."""
    path = urlsplit(resource).path
    return WELL_KNOWN + ("" if path == "/" else path)


def metadata_url(resource: str) -> str:
    """The URL of a resource's metadata."""
    parts = urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}{metadata_path(resource)}"


def protected_resource(resource: str, issuers: Sequence[str], scopes: Sequence[str], *, name: str) -> bytes:
    """The metadata document of a resource."""
    document: dict[str, Any] = {
        "resource": resource,
        "authorization_servers": list(issuers),
        "bearer_methods_supported": ["header"],
        "resource_name": name,
    }
    if scopes:
        document["scopes_supported"] = list(scopes)
    return json.dumps(document, separators=(",", ":")).encode()


def challenge(
    *,
    error: str | None = None,
    description: str = "",
    scopes: Sequence[str] = (),
    metadata: str | None = None,
    scheme: str = "Bearer",
) -> str:
    """The value of `WWW-Authenticate`. A request without a credential gets no error code (RFC 6750 §3.1)."""
    parameters = []
    if error is not None:
        parameters.append(("error", error))
        if description:
            parameters.append(("error_description", description))
    if scopes:
        parameters.append(("scope", " ".join(scopes)))
    if metadata is not None:
        parameters.append(("resource_metadata", metadata))
    if not parameters:
        parameters.append(("realm", "mcppool"))
    return f"{scheme} " + ", ".join(f'{name}="{_quotable(value)}"' for name, value in parameters)


def _quotable(value: str) -> str:
    """A value for a quoted string: forbidden characters (RFC 6750 §3) become apostrophes."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in value)
