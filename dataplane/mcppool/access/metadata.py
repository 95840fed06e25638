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


def protected_resource(
    resource: str,
    issuers: Sequence[str],
    scopes: Sequence[str],
    *,
    name: str,
    algorithms: Sequence[str] = (),
    proof_required: bool = False,
) -> bytes:
    """The metadata document of a resource. `algorithms` are those of DPoP proofs, if it takes any."""
    document: dict[str, Any] = {
        "resource": resource,
        "authorization_servers": list(issuers),
        "bearer_methods_supported": ["header"],
        "resource_name": name,
    }
    if scopes:
        document["scopes_supported"] = list(scopes)
    if algorithms:
        document["dpop_signing_alg_values_supported"] = list(algorithms)
    if proof_required:
        document["dpop_bound_access_tokens_required"] = True
    return json.dumps(document, separators=(",", ":")).encode()


def challenge(
    *,
    error: str | None = None,
    description: str = "",
    scopes: Sequence[str] = (),
    metadata: str | None = None,
    algorithms: Sequence[str] = (),
) -> str:
    """The value of `WWW-Authenticate`. A request without a credential gets no error code (RFC 6750 §3.1).

    With `algorithms`, those of proofs, it asks for a token with a DPoP proof (RFC 9449 §7.1).
    """
    parameters = []
    if error is not None:
        parameters.append(("error", error))
        if description:
            parameters.append(("error_description", description))
    if scopes:
        parameters.append(("scope", " ".join(scopes)))
    if metadata is not None:
        parameters.append(("resource_metadata", metadata))
    if algorithms:
        parameters.append(("algs", " ".join(algorithms)))
    if not parameters:
        parameters.append(("realm", "mcppool"))
    return ("DPoP " if algorithms else "Bearer ") + ", ".join(
        f'{name}="{_quotable(value)}"' for name, value in parameters
    )


def _quotable(value: str) -> str:
    """A value for a quoted string: forbidden characters (RFC 6750 §3) become apostrophes."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in value)
