"""TLS towards the endpoints: trusted authorities, and the client certificate; files are read again when they change."""

from __future__ import annotations

import ssl
from time import monotonic

from mcppool.small_file import file_version
from mcppool.spec import UpstreamTlsSpec
from mcppool.tls_files import UnusableTlsFile, client_context

LOOK_EVERY = 1.0  # seconds between two looks at the files


class UpstreamTls:
    """The TLS settings of one pool. One context serves all its connections, so that sessions are resumed."""

    def __init__(self, spec: UpstreamTlsSpec) -> None:
        self.server_name = spec.server_name
        self._ca = spec.ca_file
        self._own = (spec.certificate_file, spec.key_file)
        self._context: ssl.SSLContext | None = None
        self._seen: tuple[object, ...] = ()
        self._looked = 0.0

    def context(self) -> ssl.SSLContext:
        """The context for the next connection.

        Raises UnusableTlsFile if a file cannot be used; the previous context then stays in use, so
        that a half-written file breaks no working connection.
        """
        now = monotonic()
        if self._context is None or now - self._looked >= LOOK_EVERY:
            self._looked = now
            seen = tuple(file_version(path) for path in (self._ca, *self._own) if path is not None)
            if self._context is None or seen != self._seen:
                try:
                    self._context = self._load()
                    self._seen = seen
                except UnusableTlsFile:
                    if self._context is None:
                        raise
        return self._context

    def _load(self) -> ssl.SSLContext:
        context = client_context(self._ca, *self._own)
        context.set_alpn_protocols(["http/1.1"])
        return context
