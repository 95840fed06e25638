"""For any text, the result is a configuration or a ConfigError whose problems can be shown."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from mcppool.spec import ConfigError, default_snapshot, read_snapshot, render_snapshot
from mcppool.spec.file_reader import read_data
from mcppool.spec.file_spec import FileSpec
from mcppool.spec.naming import RESOURCE, TOML, Spelling
from mcppool.spec.resource import ResourceSpec, read_resource
from mcppool.spec.shape import Shape, fields_of

JUNK = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["http://a/mcp", "none", "1s", "4MiB", "{0}", "a", 10**30])
)
NOT_JSON = st.just(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)) | st.just(datetime.time(1))
SETTINGS = settings(suppress_health_check=list(HealthCheck), max_examples=150, deadline=None)


def trees(shape: Shape, spelling: Spelling, junk: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Data of about the right form, with junk at any place of it."""
    inner: st.SearchStrategy[Any] = junk
    if shape.model is not None:
        inner = sections(shape.model, spelling, junk)
    elif shape.kind == "list" and shape.item is not None:
        inner = st.lists(trees(shape.item, spelling, junk), max_size=2)
    elif shape.kind == "map" and shape.item is not None:
        inner = st.dictionaries(st.text(max_size=3), trees(shape.item, spelling, junk), max_size=2)
    elif shape.kind == "choice":
        inner = st.sampled_from([spelling.value(choice) for choice in shape.choices])
    return inner | inner | junk | st.lists(junk, max_size=2) | st.dictionaries(st.text(max_size=2), junk, max_size=2)


def sections(model: type[BaseModel], spelling: Spelling, junk: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = {
        spelling.key(name): st.deferred(_later(field.shape, spelling, junk)) for name, field in fields_of(model).items()
    }
    return st.fixed_dictionaries({}, optional={**fields, "weird key": junk})


def _later(shape: Shape, spelling: Spelling, junk: st.SearchStrategy[Any]) -> Callable[[], st.SearchStrategy[Any]]:
    return lambda: trees(shape, spelling, junk)


def can_be_shown(error: ConfigError) -> None:
    assert error.problems
    for problem in error.problems:
        assert "\n" not in str(problem)
        assert problem.message


@SETTINGS
@given(sections(FileSpec, TOML, JUNK.filter(lambda value: value is not None) | NOT_JSON))
def test_a_file_with_junk_in_it_is_refused_in_words_or_read_whole(data: dict[str, Any]) -> None:
    try:
        snapshot = read_data(data, {}, "f.toml")
    except ConfigError as error:
        can_be_shown(error)
    else:
        assert "weird key" not in data
        assert read_snapshot(render_snapshot(snapshot)) == snapshot


@SETTINGS
@given(sections(ResourceSpec, RESOURCE, JUNK) | JUNK)
def test_a_resource_with_junk_in_it_is_refused_in_words_or_is_a_specification(spec: Any) -> None:
    try:
        read_resource({"metadata": {"name": "a", "namespace": "b"}, "spec": spec})
    except ConfigError as error:
        can_be_shown(error)
    else:
        assert "source" in spec
        assert "weird key" not in spec


@SETTINGS
@given(st.data())
def test_a_snapshot_with_junk_in_it_is_refused_in_words_or_read_whole(data: st.DataObject) -> None:
    document = json.loads(render_snapshot(default_snapshot(["http://a/mcp"])))
    if data.draw(st.booleans()):
        del document["hash"]
    place: Any = document
    for _ in range(data.draw(st.integers(0, 4))):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys)) if keys else None
        if key is None or not isinstance(place[key], dict | list):
            break
        place = place[key]
    if isinstance(place, dict) and place:
        place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JUNK)
    try:
        snapshot = read_snapshot(json.dumps(document))
    except ConfigError as error:
        can_be_shown(error)
    else:
        assert read_snapshot(render_snapshot(snapshot)) == snapshot
