"""Metadata documents of pools, at paths without a pool: the gateway's own, and those of servers that issue tokens."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mcppool.gateway.head_notes import HeadNotes
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.http.response_writer import ResponseWriter
from mcppool.gateway.request_refused import RequestRefused
from mcppool.gateway.server_documents import ServerDocuments, ServersUnavailable
from mcppool.wire.errors import INVALID_REQUEST

NO_POOL = "No pool is served at this path"
_DOCUMENT = b"content-type: application/json\r\ncache-control: max-age=300\r\n"

Document = bytes | ServerDocuments
"""A metadata document, or its source."""


class MetadataDocuments:
    """The documents by their paths, and their sources, which may name further paths."""

    def __init__(self, documents: Mapping[bytes, Document] = MappingProxyType({})) -> None:
        self._documents = documents
        self._sources = tuple(
            {id(each): each for each in documents.values() if isinstance(each, ServerDocuments)}.values()
        )

    async def answer(self, request: HttpRequest, notes: HeadNotes, response: ResponseWriter) -> None:
        """Answer a request at a path without a pool. Raises RequestRefused."""
        path = notes.path.decode("latin-1")
        document = self._documents.get(notes.path) or await self._named(path)
        if document is None:
            raise RequestRefused("path", 404, INVALID_REQUEST, NO_POOL)
        if request.head.method not in (b"GET", b"HEAD"):
            message = "Only GET is served here"
            raise RequestRefused("http_method", 405, INVALID_REQUEST, message, b"allow: GET, HEAD\r\n")
        if isinstance(document, bytes):
            response.whole(200, _DOCUMENT, document)
            return
        try:
            found = await document.get(path)
        except ServersUnavailable:
            message = "No server answers with this document"
            raise RequestRefused(None, 503, INVALID_REQUEST, message, b"retry-after: 1\r\n") from None
        if found is None:
            raise RequestRefused("path", 404, INVALID_REQUEST, NO_POOL)
        headers = b"content-type: application/json\r\ncache-control: %b\r\n" % found.cache_control
        response.whole(200, headers, found.body)

    async def _named(self, path: str) -> ServerDocuments | None:
        """The source of a document at a path that a server has named."""
        for source in self._sources:
            if await source.names(path):
                return source
        return None
