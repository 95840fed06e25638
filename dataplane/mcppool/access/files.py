"""Files that the authentication of clients needs, and their faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from mcppool.access.introspection import read_secret
from mcppool.access.key_file import parse_keys, read_key_file
from mcppool.spec.sections.inbound import InboundAuthSpec
from mcppool.tls_files import UnusableTlsFile, client_context


class UnusableFile(NamedTuple):
    """A file that cannot be used: its key below `auth.inbound`, its name, and the reason."""

    key: str
    file: str
    why: str


def unusable_files(spec: InboundAuthSpec) -> Iterator[UnusableFile]:
    """The files of a pool's authentication that are missing, or have invalid content."""
    if spec.api_keys is not None:
        file = spec.api_keys.keys_file
        yield from _tried("api_keys.keys_file", file, lambda: parse_keys(read_key_file(file)))
    if spec.introspection is not None:
        secret = spec.introspection.client_secret_file
        yield from _tried("introspection.client_secret_file", secret, lambda: read_secret(secret))
        yield from _authorities("introspection.ca_file", spec.introspection.ca_file)
    for number, issuer in enumerate(spec.jwt.issuers if spec.jwt is not None else ()):
        if issuer.jwks_file is not None:
            yield from _tried(f"jwt.issuers[{number}].jwks_file", issuer.jwks_file, _key_set(issuer.jwks_file))
        yield from _authorities(f"jwt.issuers[{number}].ca_file", issuer.ca_file)


def _authorities(key: str, file: str | None) -> Iterator[UnusableFile]:
    if file is not None:
        try:
            client_context(file)
        except UnusableTlsFile as error:
            yield UnusableFile(key, file, str(error))


def _key_set(file: str) -> Callable[[], object]:
    def read() -> object:
        # Here, because only pools with tokens need this module.
        from mcppool.access.jwks import read_file
        from mcppool.access.verification_keys import read_key_set

        return read_key_set(read_file(file))

    return read


def _tried(key: str, file: str, read: Callable[[], object]) -> Iterator[UnusableFile]:
    try:
        read()
    except (OSError, ValueError) as error:
        yield UnusableFile(key, file, str(error))
