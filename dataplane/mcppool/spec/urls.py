"""URLs for people, without parts that may be secret."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit, urlunsplit

from mcppool.spec.redaction import HIDDEN


def redacted_url(url: str) -> str:
    """The URL without its user info and the values of its query. Its parameters keep their names, so that one is known
    again."""
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


def shown_key(url: str) -> str:
    """What an endpoint of this URL is called in logs, metrics and pages: the URL, or where something of it is hidden
    what is left and a mark that tells it from others."""
    shown = redacted_url(url)
    return shown if shown == url else f"{shown}#{hashlib.sha256(url.encode()).hexdigest()[:6]}"


def _without_value(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}={HIDDEN}" if equals else HIDDEN
