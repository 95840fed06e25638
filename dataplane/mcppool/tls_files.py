"""Certificates and keys in files, for every TLS context of the gateway. An error names the file at fault and its key in
the configuration; those of OpenSSL name neither."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final, TypeVar

from mcppool.small_file import read_small_file

MAX_FILE: Final = 4 << 20
"""Bytes that are read of a file to say what is wrong with it; bundles of certificate authorities have 250 KB."""


T = TypeVar("T")


class UnusableTlsFile(OSError):
    """A file with certificates or a key cannot be used. `key` is its key in its section of the configuration."""

    def __init__(self, key: str, file: str, why: str) -> None:
        super().__init__(f"{file}: {why}")
        self.key = key
        self.file = file
        self.why = why


def client_context(
    ca_file: str | None, certificate_file: str | None = None, key_file: str | None = None
) -> ssl.SSLContext:
    """A context for connections to servers: it trusts the authorities of `ca_file`, or those of the system, and shows a
    certificate if there is one. Raises UnusableTlsFile."""
    context = ssl.create_default_context() if ca_file is None else _trusting(ca_file)
    if certificate_file is not None:
        show(context, certificate_file, key_file)
    return context


def trust(context: ssl.SSLContext, key: str, file: str) -> None:
    """Trust the authorities in a file. Raises UnusableTlsFile."""
    _with_authorities(key, file, lambda: context.load_verify_locations(file))


def show(context: ssl.SSLContext, certificate_file: str, key_file: str | None) -> None:
    """Show the certificate in a file, with the key in another one or in the same. Raises UnusableTlsFile."""
    certificates = _read("certificate_file", certificate_file)
    key = "certificate_file" if key_file is None else "key_file"
    file = certificate_file if key_file is None else key_file
    _read(key, file)
    try:
        context.load_cert_chain(certificate_file, key_file, password=_no_password)
    except _Encrypted:
        raise UnusableTlsFile(key, file, "the key is encrypted") from None
    except ssl.SSLError as error:
        if not _has_certificates(certificates):
            raise UnusableTlsFile("certificate_file", certificate_file, "it has no certificate in PEM") from None
        if error.reason == "KEY_VALUES_MISMATCH":
            why = f"the key does not belong to the certificate in {certificate_file}"
        else:
            why = "it has no private key in PEM" if error.reason in (None, "NO_START_LINE") else str(error)
        raise UnusableTlsFile(key, file, why) from None
    except OSError as error:
        raise UnusableTlsFile(key, file, error.strerror or str(error)) from None


def _trusting(file: str) -> ssl.SSLContext:
    return _with_authorities("ca_file", file, lambda: ssl.create_default_context(cafile=file))


def _with_authorities(key: str, file: str, load: Callable[[], T]) -> T:
    _read(key, file)
    try:
        return load()
    except ssl.SSLError:
        raise UnusableTlsFile(key, file, "it has no certificate in PEM") from None
    except OSError as error:
        raise UnusableTlsFile(key, file, error.strerror or str(error)) from None


def _read(key: str, file: str) -> bytes:
    try:
        return read_small_file(file, MAX_FILE)
    except OSError as error:
        raise UnusableTlsFile(key, file, error.strerror or str(error)) from None


def _has_certificates(data: bytes) -> bool:
    from cryptography.x509 import load_pem_x509_certificates  # only to explain an error

    try:
        return bool(load_pem_x509_certificates(data))
    except ValueError:
        return False


class _Encrypted(Exception):
    """OpenSSL wants a password, for which it would ask on the terminal."""


def _no_password() -> str:
    raise _Encrypted
