"""How a health check of an endpoint fails, and what the status of an answer says."""

from __future__ import annotations

NOT_NOW = (408, 425, 429)
NOTHING_THERE = (404, 405, 410)


class ProbeFailed(Exception):
    """The endpoint does not answer as an MCP server should. `status` is the HTTP status, if that is the fault."""

    def __init__(self, what: str, status: int | None = None) -> None:
        super().__init__(what)
        self.status = status


class ChecksRefused(ProbeFailed):
    """The endpoint answers, and wants something that the prober's requests lack and clients may have."""


class HandshakeRefused(ProbeFailed):
    """The endpoint answers `initialize` with an error of the protocol: it speaks MCP, and opens no session now."""


class NotModern(ProbeFailed):
    """The endpoint answers `server/discover` as a server that does not know it, which is no passing fault."""


def wants_more(status: int | None) -> bool:
    """Whether a status says that the request lacks something, such as credentials, and not that the path serves no
    MCP."""
    return status is not None and 400 <= status < 500 and status not in NOT_NOW and status not in NOTHING_THERE
