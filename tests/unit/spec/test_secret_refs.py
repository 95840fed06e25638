"""A resource has a key of a Secret, and never a file, where a configuration file names a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from mcppool.spec.generate.crd import crd
from mcppool.spec.naming import RESOURCE
from mcppool.spec.resource import ResourceSpec, read_resource
from mcppool.spec.secret_refs import SecretKey, key_in, secret_keys
from mcppool.spec.shape import FieldShape, Shape, fields_of
from tests.unit.spec.test_resource import SMALLEST, problems, resource


def files(model: type[BaseModel], place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldShape]]:
    """Every key of a resource that stands for a file elsewhere, with the path to it in the resource's spelling."""
    for field in fields_of(model).values():
        shape: Shape | None = field.shape
        inner = (*place, key_in(field, RESOURCE))
        if field.shape.file:
            yield inner, field
        while shape is not None and shape.item is not None:
            shape = shape.item
        if shape is not None and shape.model is not None:
            yield from files(shape.model, inner)


PLACES = [place for place, _ in files(ResourceSpec)]


def test_there_are_such_keys() -> None:
    assert ("cache", "redisPasswordSecretRef") in PLACES
    assert {("tls", name) for name in ("caSecretRef", "certificateSecretRef", "keySecretRef")} <= set(PLACES)


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_every_file_of_the_models_is_a_secret_ref_of_the_crd_and_no_string(place: tuple[str, ...]) -> None:
    schema: Any = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for name in place:
        schema = schema.get("items", schema.get("additionalProperties", schema))["properties"][name]
    assert place[-1].endswith("SecretRef")
    assert (schema["type"], schema["required"]) == ("object", ["name", "key"])


def test_no_key_of_the_crd_is_called_a_file() -> None:
    def names(schema: dict[str, Any]) -> Iterator[str]:
        for name, inner in schema.get("properties", {}).items():
            yield name
            yield from names(inner)
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                yield from names(schema[key])

    spec = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert [name for name in names(spec) if name.lower().endswith(("file", "path")) and "Ref" in name] == []
    assert not [name for name in names(spec) if name.endswith("File") and name != "azureFile"]


def test_references_become_files_of_the_gateway_and_are_known_by_name() -> None:
    tls = {"caSecretRef": {"name": "tls", "key": "ca.crt"}, "certificateSecretRef": {"name": "tls", "key": "tls.crt"}}
    cache = {"redisURL": "redis://r:6379", "redisPasswordSecretRef": {"name": "redis", "key": ".password"}}
    pool = read_resource(resource({**SMALLEST, "tls": tls, "cache": cache})).pool
    assert pool.tls.ca_file == "/etc/mcppool/secrets/tls/ca.crt"
    assert pool.cache.redis_password_file == "/etc/mcppool/secrets/redis/.password"
    assert secret_keys(pool) == (
        SecretKey("redis", ".password"),
        SecretKey("tls", "ca.crt"),
        SecretKey("tls", "tls.crt"),
    )


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (
            {"tls": {"caFile": "/etc/passwd"}},
            'spec.tls.caFile: unknown key "caFile"; a resource names no files: use "caSecretRef"',
        ),
        (
            {"tls": {"ca_file": "/etc/passwd"}},
            'spec.tls.ca_file: unknown key "ca_file"; a resource names no files: use "caSecretRef"',
        ),
        ({"tls": {"caSecretRef": "/x"}}, 'spec.tls.caSecretRef: "/x" is not allowed; allowed: an object'),
        (
            {"tls": {"caSecretRef": {"name": "tls"}}},
            "spec.tls.caSecretRef.key: is missing; allowed: a key of a Secret's data",
        ),
        (
            {"tls": {"caSecretRef": {"name": "tls", "key": "../../etc/passwd"}}},
            'spec.tls.caSecretRef.key: "../../etc/passwd" is not allowed; allowed: a key of a Secret\'s data',
        ),
        ({"tls": {"caSecretRef": {"name": "tls", "key": ".."}}}, 'spec.tls.caSecretRef.key: ".." is not allowed'),
        ({"tls": {"caSecretRef": {"name": "A/b", "key": "k"}}}, 'spec.tls.caSecretRef.name: "A/b" is not allowed'),
        (
            {"tls": {"caSecretRef": {"name": "a", "key": "k", "namespace": "b"}}},
            'spec.tls.caSecretRef.namespace: unknown key "namespace"',
        ),
        (
            {"cache": {"redisURL": "unix:///run/redis.sock"}},
            'spec.cache.redisURL: "unix:///run/redis.sock" is not allowed; allowed: redis://HOST:PORT/DB or rediss:',
        ),
        (
            {"cache": {"type": "SQL", "sqlURL": "sqlite:///tmp/x"}},
            'spec.cache.sqlURL: "sqlite:///tmp/x" is not allowed; allowed: postgresql://USER@HOST:PORT/DATABASE',
        ),
        ({"cache": {"type": "SQL"}}, "spec.cache.sqlURL: sqlURL must be set if type is SQL"),
    ],
)
def test_an_invalid_reference_is_refused_in_words(extra: dict[str, Any], expected: str) -> None:
    (problem,) = problems({**SMALLEST, **extra})
    assert problem.startswith(expected)
