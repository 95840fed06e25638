"""URLs for people, without parts that may be secret."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit, urlunsplit

from mcppool.spec.redaction import HIDDEN


def redacted_url(url: str) -> str:
    """The URL without its user info and the values of its query. Its parameters keep their names, so that readers
    recognise it."""
    if not any(mark in url for mark in "@?"):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return HIDDEN
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{HIDDEN}@{host}" if "@" in parts.netloc else host
    query = "&".join(_without_value(part) for part in parts.query.split("&")) if parts.query else ""
    return urlunsplit((parts.scheme, netloc, parts.path, query, parts.fragment))


def shown_key(url: str, *, secret_path: bool = False) -> str:
    """The name of an endpoint with this URL in logs, metrics and pages: the URL, or, if something in it is hidden, the
    rest and a distinguishing mark. `secret_path` hides the path."""
    shown = redacted_url(url)
    if secret_path:
        scheme, _, rest = shown.partition("://")
        shown = f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0]}/{HIDDEN}"
    return shown if shown == url else f"{shown}#{hashlib.sha256(url.encode()).hexdigest()[:6]}"


def _without_value(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}={HIDDEN}" if equals else HIDDEN
