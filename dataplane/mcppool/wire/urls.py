"""URLs as people may see them."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

REDACTED = "…"


def redacted_url(url: str) -> str:
    """The URL without its user info, the values of its query and its fragment, which may hold secrets. Its parameters
    keep their names, so that one is known again."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return REDACTED
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{REDACTED}@{host}" if "@" in parts.netloc else host
    query = "&".join(_without_value(part) for part in parts.query.split("&")) if parts.query else ""
    return urlunsplit((parts.scheme, netloc, parts.path, query, ""))


def _without_value(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}={REDACTED}" if equals else REDACTED
