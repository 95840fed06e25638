"""The certificate that clients see, read again when its files change."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from mcppool.observe.logs import get_logger
from mcppool.spec import ConfigError, Problem

log = get_logger("listener")

Identity = tuple[tuple[int, int, int], ...]


class Certificate:
    """A server's TLS context; connections that stand keep the certificate they were opened with."""

    def __init__(self, certificate_file: str, key_file: str) -> None:
        """Raises ConfigError if the files do not hold a certificate and its key."""
        self._files = (certificate_file, key_file)
        self._seen = self._identity()
        try:
            self.context = self._load()
        except (OSError, ValueError) as error:
            raise ConfigError([Problem("listener.tls", f"cannot be used: {error}", certificate_file)]) from error

    def refresh(self) -> None:
        """Load changed files. A pair that does not match is reported once, and the old one stays."""
        seen = self._identity()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._load()  # into a new context first: a pair that does not match would leave half of itself behind
            self.context.load_cert_chain(*self._files, password=_no_password)
        except (OSError, ValueError) as error:
            log.error("certificate_refused", file=self._files[0], detail=str(error))
            return
        log.event("certificate_loaded", file=self._files[0])

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(*self._files, password=_no_password)
        return context

    def _identity(self) -> Identity:
        """A value that changes with the files. `_load` reports a missing one."""
        return tuple(_stat(Path(file)) for file in self._files)


def _stat(path: Path) -> tuple[int, int, int]:
    try:
        stat = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (stat.st_mtime_ns, stat.st_ino, stat.st_size)


def _no_password() -> str:
    raise ValueError("the key is encrypted")  # OpenSSL would ask on the terminal
