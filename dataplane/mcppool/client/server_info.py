"""A server's description of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from mcppool.wire.versions import LATEST_MODERN

META_SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server's description of itself.

    `era` is `"modern"` for a stateless server, `"legacy"` for one with a handshake. `protocol_version` is the revision
    that the pool uses with it. `name` and `version` are empty if the server does not give them; `capabilities` are as
    the server wrote them.
    """

    era: Literal["modern", "legacy"]
    protocol_version: str
    name: str = ""
    version: str = ""
    instructions: str = ""
    capabilities: Mapping[str, Any] = field(default_factory=dict)


def info_of_discover(result: Mapping[str, Any]) -> ServerInfo:
    """The description in the result of `server/discover`."""
    meta = result.get("_meta")
    about = meta.get(META_SERVER_INFO) if isinstance(meta, Mapping) else None
    return ServerInfo("modern", LATEST_MODERN, *_words(about, result))


def info_of_initialize(result: Mapping[str, Any]) -> ServerInfo:
    """The description in the result of `initialize`."""
    return ServerInfo("legacy", str(result.get("protocolVersion", "")), *_words(result.get("serverInfo"), result))


def _words(about: object, result: Mapping[str, Any]) -> tuple[str, str, str, Mapping[str, Any]]:
    """Name, version, instructions and capabilities; a part of another type counts as absent."""
    about = about if isinstance(about, Mapping) else {}
    texts = (about.get("name"), about.get("version"), result.get("instructions"))
    name, version, instructions = (text if isinstance(text, str) else "" for text in texts)
    capabilities = result.get("capabilities")
    return name, version, instructions, capabilities if isinstance(capabilities, Mapping) else {}
