"""Secrets by reference: a resource has a reference where a configuration file names a file.

`ca_file = "/some/where"` in a file is `caSecretRef: {name: tls, key: ca.crt}` in a resource. The operator mounts that
key into the gateways, and publishes the name of the mounted file. No resource can name another file of the gateway.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from pydantic import BaseModel

from mcppool.spec.naming import Spelling
from mcppool.spec.sections.secret_ref import SecretRefSpec
from mcppool.spec.shape import FieldShape, Shape, fields_of

SECRETS_DIRECTORY: Final = "/etc/mcppool/secrets"
"""The directory of the Secrets that a pool refers to: `DIRECTORY/SECRET/KEY`."""


class SecretKey(NamedTuple):
    """One key of one Secret."""

    secret: str
    key: str

    @property
    def path(self) -> str:
        """The file of the mounted key."""
        return f"{SECRETS_DIRECTORY}/{self.secret}/{self.key}"


def key_in(field: FieldShape, spelling: Spelling) -> str:
    """The name of a key in one kind of source."""
    name = field.name
    if field.shape.file and not spelling.files:
        name = f"{name.removesuffix('_file').removesuffix('_secret')}_secret_ref"
    return spelling.key(name)


def written_in(field: FieldShape, spelling: Spelling) -> FieldShape:
    """The value of a key in one kind of source: a reference if that source names no files."""
    if field.shape.file and not spelling.files:
        return replace(field, shape=Shape("section", model=SecretRefSpec))
    return field


def secret_keys(model: BaseModel) -> tuple[SecretKey, ...]:
    """Every key of a Secret that a pool from a resource refers to, each once, in a fixed order."""
    return tuple(sorted(set(_secret_keys(model))))


def _secret_keys(model: BaseModel) -> Iterator[SecretKey]:
    for name, field in fields_of(type(model)).items():
        value = getattr(model, name)
        for entry in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else (value,):
            if isinstance(entry, BaseModel):
                yield from _secret_keys(entry)
            elif field.shape.file and isinstance(entry, str) and entry.startswith(f"{SECRETS_DIRECTORY}/"):
                secret, _, key = entry.removeprefix(f"{SECRETS_DIRECTORY}/").partition("/")
                yield SecretKey(secret, key)
