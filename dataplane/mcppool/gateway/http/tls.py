"""TLS of a listening socket: its certificate, and the authority of its clients' certificates. All files are read again
when they change."""

from __future__ import annotations

import ssl

from mcppool.observe.logs import get_logger
from mcppool.small_file import file_version
from mcppool.spec import ConfigError, Problem
from mcppool.spec.sections.process import ListenerTlsSpec
from mcppool.tls_files import UnusableTlsFile, show, trust

log = get_logger("listener")

Identity = tuple[tuple[int, int, int] | None, ...]


class Certificate:
    """A server's TLS context. New connections use the newest files; older ones keep their own.

    `context` is for the socket. Each handshake goes on with the context of the newest files, so that an authority
    removed from its file is no longer trusted; a context cannot forget one.
    """

    def __init__(self, spec: ListenerTlsSpec, section: str = "listener.tls") -> None:
        """Raises ConfigError if the files cannot be used."""
        self._spec = spec
        self._files = tuple(
            file for file in (spec.certificate_file, spec.key_file, spec.client_ca_file) if file is not None
        )
        self._seen = self._identity()
        try:
            self.context = self._newest = self._load()
        except UnusableTlsFile as error:
            raise ConfigError([Problem(f"{section}.{error.key}", f"cannot be used: {error}", error.file)]) from error
        self.context.sni_callback = self._use_newest

    def refresh(self) -> None:
        """Load changed files. Files that do not fit together are reported once, and the old ones stay in use."""
        seen = self._identity()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._newest = self._load()
        except UnusableTlsFile as error:
            log.error("certificate_refused", file=error.file, detail=error.why)
            return
        log.event("certificate_loaded", file=self._files[0])

    def _use_newest(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._newest

    def _load(self) -> ssl.SSLContext:
        spec = self._spec
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        show(context, spec.certificate_file, spec.key_file)
        if spec.client_ca_file is not None:
            trust(context, "client_ca_file", spec.client_ca_file)
            context.verify_mode = ssl.CERT_OPTIONAL if spec.client_certificates == "optional" else ssl.CERT_REQUIRED
            # A resumed session is not verified again: it would outlive its authority.
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        return context

    def _identity(self) -> Identity:
        """A value that changes with the files. `_load` reports a missing one."""
        return tuple(file_version(file) for file in self._files)


def requires_certificates(spec: ListenerTlsSpec | None) -> bool:
    """Whether a client has to show a certificate."""
    return spec is not None and spec.client_ca_file is not None and spec.client_certificates != "optional"


def admin_tls(spec: ListenerTlsSpec) -> ListenerTlsSpec:
    """The settings of the admin port's socket: the handshake lets clients without a certificate in, because probes have
    none."""
    if spec.client_ca_file is None:
        return spec
    return spec.model_copy(update={"client_certificates": "optional"})
