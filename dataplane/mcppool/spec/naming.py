"""One vocabulary in two spellings, converted mechanically.

TOML has `load_balancer.strategy = "round_robin"`, the resource `loadBalancer: {strategy: RoundRobin}`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

_ACRONYMS: Final = {
    "api": "API",
    "cpu": "CPU",
    "grpc": "GRPC",
    "http": "HTTP",
    "http/protobuf": "HTTPProtobuf",
    "https": "HTTPS",
    "ip": "IP",
    "jwks": "JWKS",
    "jwt": "JWT",
    "sql": "SQL",
    "ttl": "TTL",
    "uri": "URI",
    "url": "URL",
}
"""Kubernetes writes acronyms in capitals, except at the beginning of a key (`url`, `jwksURI`, `cacheTTL`, `APIKey`)."""


@cache
def camel_value(text: str) -> str:
    """The resource's spelling of an enumerated value: `round_robin` → `RoundRobin`. A standard's own name stays:
    `RS256`, `EdDSA`."""
    if text != text.lower():
        return text
    return "".join(_ACRONYMS.get(word, word.capitalize()) for word in text.split("_"))


@cache
def camel_key(name: str) -> str:
    """The resource's spelling of a key: `base_delay` → `baseDelay`."""
    first, *others = name.split("_")
    return first + "".join(_ACRONYMS.get(word, word.capitalize()) for word in others)


@dataclass(frozen=True)
class Spelling:
    """Spelling of keys and enumerated values in one kind of source, and names of its containers."""

    key: Callable[[str], str]
    value: Callable[[str], str]
    table: str
    list: str
    files: bool
    """Whether it may name files of the machine; if not, a key of a Secret takes their place."""


def _same(text: str) -> str:
    return text


TOML: Final = Spelling(key=_same, value=_same, table="a table", list="a list", files=True)
RESOURCE: Final = Spelling(key=camel_key, value=camel_value, table="an object", list="a list", files=False)
