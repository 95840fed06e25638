"""The generated files equal the committed ones, and agree with the models."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mcppool.spec.file_spec import FileSpec
from mcppool.spec.generate.crd import crd, crd_yaml
from mcppool.spec.generate.docs import insert_tables
from mcppool.spec.generate.json_schema import file_schema
from mcppool.spec.generate.yaml import dump
from mcppool.spec.resource import read_resource
from mcppool.spec.shape import Shape, fields_of
from tests.unit.spec.test_founding_document import FILE as FOUNDING_DOCUMENT
from tests.unit.spec.test_resource import SMALLEST, resource
from tests.unit.spec.test_toml import POOL

ROOT = Path(__file__).parents[3]


def test_the_committed_crd_is_the_generated_one() -> None:
    path = ROOT / "crds" / "mcpserverpools.yaml"
    assert path.read_text(encoding="utf-8") == crd_yaml(), "run `make generate`"


def test_the_documented_tables_are_the_generated_ones() -> None:
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    assert page == insert_tables(page), "run `make generate`"


@pytest.mark.parametrize("script", ["write-section-types", "write-api-reference"])
def test_the_library_and_its_reference_are_the_generated_ones(script: str) -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}run `make generate`"


def test_a_page_without_marks_gets_no_tables() -> None:
    with pytest.raises(ValueError, match="no marks"):
        insert_tables("# A page\n")


def test_the_crds_yaml_means_its_data() -> None:
    assert yaml.safe_load(crd_yaml()) == crd()


TEXTS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc", "Cn"]))
SCALARS = st.none() | st.booleans() | st.integers() | TEXTS | st.sampled_from(["no", "on", "1e3", "a: b", "- a", "0x1"])
KEYS = st.from_regex(r"\A[a-zA-Z_][a-zA-Z_.-]{0,9}\Z", alphabet=st.characters(codec="ascii"))
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))


@given(TREES)
def test_any_tree_is_read_from_yaml_as_it_was_written(tree: Any) -> None:
    assert yaml.safe_load(dump(tree)) == tree


def spec_schema() -> dict[str, Any]:
    schema: dict[str, Any] = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


def schemas(schema: dict[str, Any], path: str = "spec") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from schemas(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from schemas(schema[key], f"{path}[]")


def test_every_rule_of_the_schema_names_properties_that_exist() -> None:
    """The API server compiles the rules, and refuses the whole CRD otherwise."""
    for path, schema in schemas(spec_schema()):
        for rule in schema.get("x-kubernetes-validations", ()):
            names = set(re.findall(r"\bself\.(\w+)\b(?!\()", rule["rule"]))
            assert names <= schema.get("properties", {}).keys(), f"{path}: {rule['rule']}"


def test_every_node_of_the_schema_is_structural_bounded_and_described() -> None:
    for path, schema in schemas(spec_schema()):
        assert "type" in schema or schema.get("x-kubernetes-int-or-string"), path
        if schema.get("type") == "string":
            assert "enum" in schema or "maxLength" in schema, path
        if schema.get("type") == "array":
            assert "maxItems" in schema, path
            assert "x-kubernetes-list-type" in schema, path
        if "additionalProperties" in schema:
            assert "maxProperties" in schema, path
        if "." in path and not path.endswith("[]"):
            assert schema.get("description"), path


def with_defaults(schema: dict[str, Any], value: Any) -> Any:
    """The object that the API server stores: defaults filled in, from the outside in."""
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        filled = {name: inner["default"] for name, inner in properties.items() if "default" in inner} | value
        return {name: with_defaults(properties.get(name, {}), inner) for name, inner in filled.items()}
    return value


def test_a_key_with_a_pattern_has_words_for_it_in_its_error() -> None:
    assert [
        place for place, shape in _shapes(Shape("section", model=FileSpec)) if shape.pattern and not shape.hint
    ] == []


def _shapes(shape: Shape, place: str = "") -> Iterator[tuple[str, Shape]]:
    yield place, shape
    for inner in (shape.key, shape.item):
        if inner is not None:
            yield from _shapes(inner, f"{place}[]")
    if shape.model is not None:
        for field in fields_of(shape.model).values():
            yield from _shapes(field.shape, f"{place}.{field.name}")


def test_an_object_with_the_api_servers_defaults_reads_as_the_one_that_was_applied() -> None:
    stored = with_defaults(spec_schema(), SMALLEST)
    assert stored["connectionPool"]["maxConnections"] == 50
    assert "replicas" not in stored["gateway"], "an absent number of replicas is nobody's but an autoscaler's"
    assert stored["auth"]["outbound"] == {"type": "None"}
    assert read_resource(resource(stored)) == read_resource(resource(SMALLEST))


@pytest.mark.usefixtures("later")
def test_unsupported_keys_are_refused_by_a_rule_and_have_no_default() -> None:
    schema = spec_schema()
    messages = [rule["message"] for rule in schema["x-kubernetes-validations"]]
    assert '"circuitBreaker" is not available in this version' in messages
    assert "default" not in schema["properties"]["circuitBreaker"]
    assert "default" not in schema["properties"]["loadBalancer"]["properties"]["slowStart"]
    (rule,) = schema["properties"]["loadBalancer"]["properties"]["strategy"]["x-kubernetes-validations"]
    assert "'Random'" in rule["rule"]
    assert "'RoundRobin'" not in rule["rule"]


def test_the_json_schema_accepts_good_files_and_refuses_bad_ones() -> None:
    schema = file_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = 'profile = "test"\n[connection_pool]\nmax_idle_time = "10m"\n[tools."a*"]\ntimeout = "1s"\n' + POOL
    assert validator.is_valid(tomllib.loads(good))
    assert validator.is_valid(tomllib.loads(FOUNDING_DOCUMENT.read_text() + POOL))
    for bad in ("[metrics]\nport = -1", "x = 1", "[timeouts]\nrequest = 3", "[[pools]]"):
        assert not validator.is_valid(tomllib.loads(bad)), bad


@pytest.mark.usefixtures("later")
def test_the_json_schema_refuses_unsupported_keys() -> None:
    validator = jsonschema.Draft202012Validator(file_schema())
    for bad in ("[circuit_breaker]", '[load_balancer]\nstrategy = "random"', "[listener]\nworkers = 2"):
        assert not validator.is_valid(tomllib.loads(bad)), bad
