"""TLS of the connections to PostgreSQL: the `sslmode` of the URL, and errors that name the key to change."""

from __future__ import annotations

import os
import ssl
from urllib.parse import parse_qsl, urlsplit

from mcppool.tls_files import UnusableTlsFile, client_context

AUTHORITIES, CERTIFICATE, KEY = VARIABLES = ("PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY")
"""Variables of the environment with the names of files, as for other programs that use PostgreSQL."""


class DatabaseTls:
    """TLS for the database at `url`.

    `context` checks the certificate of the server, against `ca_file`, the file that `PGSSLROOTCERT` names, or the
    authorities of the system. It is None if the `sslmode` of the URL asks for no check: then the client library decides
    by that mode. A client certificate comes from the files that `PGSSLCERT` and `PGSSLKEY` name. Raises
    UnusableTlsFile, whose `key` is `sql_ca_file` or the name of the variable.
    """

    def __init__(self, url: str, ca_file: str | None) -> None:
        self._mode = dict(parse_qsl(urlsplit(url).query)).get("sslmode", "")
        self._verifies = ca_file is not None or self._mode.startswith("verify-")
        given = os.environ.get(AUTHORITIES) if ca_file is None else None
        self._key, self._ca_file = (AUTHORITIES, given) if given else ("sql_ca_file", ca_file)
        self.context: ssl.SSLContext | None = None
        if self._verifies:
            certificate, key = (os.environ.get(name) or None for name in (CERTIFICATE, KEY))
            try:
                self.context = client_context(self._ca_file, certificate, key)
            except UnusableTlsFile as error:
                keys = {"ca_file": self._key, "certificate_file": CERTIFICATE, "key_file": KEY}
                raise UnusableTlsFile(keys[error.key], error.file, error.why) from None
            self.context.check_hostname = self._mode != "verify-ca"

    def explained(self, error: Exception) -> str | None:
        """The cause of a failure to connect, with the keys and values that lead to it; None if TLS is not the cause."""
        said = str(error)
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = error.verify_message.rstrip(".")
            return f"the certificate of the database is refused: {reason} ({self._settings})"
        if isinstance(error, ssl.SSLError):
            return f"TLS with the database fails: {error.reason or said} ({self._settings})"
        if "rejected SSL upgrade" in said:
            return f"the database has no TLS, which is required ({self._settings})"
        if "no encryption" in said or "client certificate" in said:
            return f"{said} ({self._settings})"
        return None

    @property
    def _settings(self) -> str:
        mode = f"sslmode={self._mode}" if self._mode else "no sslmode"
        key = self._key if self._key in VARIABLES else f"cache.{self._key}"
        system = ", so that the authorities of the system count" if self._verifies else ""
        return f"cache.sql_url has {mode}, {key} is {self._ca_file or f'not set{system}'}"
