"""Every setting in force, and its source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mcppool.spec.availability import available, is_later
from mcppool.spec.layers import Layers, Origin
from mcppool.spec.model import Section
from mcppool.spec.naming import TOML
from mcppool.spec.pool import PoolSpec
from mcppool.spec.reading import Place, write_place
from mcppool.spec.redaction import HIDDEN
from mcppool.spec.sections.retry_policy import SET_BY_PRESET
from mcppool.spec.shape import fields_of
from mcppool.spec.snapshot import Snapshot
from mcppool.spec.urls import redacted_url

PUBLISHED = "published by the operator"
_NOT_SETTINGS = frozenset({"pools", "term", "generation", "unknown_fields", "published_hash"})


@dataclass(frozen=True)
class Value:
    """One setting in force: its dotted path, its value as in a file, and its origin in words."""

    path: str
    value: Any
    origin: str


def process_values(snapshot: Snapshot) -> list[Value]:
    """The settings of the process: listener, admin port, log."""
    provenance = snapshot.provenance
    return [*_values(snapshot, provenance.process if provenance else None, Snapshot)]


def pool_values(snapshot: Snapshot, index: int) -> list[Value]:
    """The settings of one pool."""
    provenance = snapshot.provenance
    return [*_values(snapshot.pools[index], provenance.pools[index] if provenance else None, PoolSpec)]


def settings_of(snapshot: Snapshot) -> dict[str, Any]:
    """Every setting as JSON: `{"process": …, "pools": {name: …}}`, each `{path: {"value": …, "origin": …}}`."""
    pools = {pool.name: by_path(pool_values(snapshot, index)) for index, pool in enumerate(snapshot.pools)}
    return {"process": by_path(process_values(snapshot)), "pools": pools}


def by_path(values: Iterable[Value]) -> dict[str, dict[str, Any]]:
    """The settings as JSON: `{path: {"value": …, "origin": …}}`."""
    return {value.path: {"value": value.value, "origin": value.origin} for value in values}


def _values(root: Section, layers: Layers | None, model: type[Section]) -> Iterator[Value]:
    for place, value in _leaves(root, root.written(), (), ""):
        origin = PUBLISHED if layers is None else _origin(layers, place)
        shown = value if layers is None or value == HIDDEN else _with_references(layers, place, value)
        yield Value(write_place(place, model, TOML), shown, origin)


def _with_references(layers: Layers, place: Place, value: Any) -> Any:
    """The value, with references as they are written in place of their values."""
    for end in range(len(place), 0, -1):  # an endpoint that is written as a string is a section
        if (origin := layers.origins.get(place[:end])) is not None:
            inherited = end < len(place) and not (isinstance(value, str) and value)  # its weight, say: not of the text
            if origin.reference is not None and not inherited:
                return _shown(origin.reference, secret=False)
            break
    if isinstance(value, list):
        return [_with_references(layers, (*place, at), item) for at, item in enumerate(value)]
    return value


def _leaves(section: Section, written: dict[str, Any], place: Place, path: str) -> Iterator[tuple[Place, Any]]:
    """The values below a section, without unset and unsupported ones."""
    for name, field in fields_of(type(section)).items():
        inner, value = f"{path}.{name}".lstrip("."), getattr(section, name)
        unset = value in (None, (), {}) and written.get(name) in (None, [], {})  # None may be written as a word
        if is_later(inner) or unset or name in _NOT_SETTINGS or field.snapshot_only:
            continue
        if field.shape.kind == "choice" and value not in available(inner, (value,)):
            continue
        if isinstance(value, Section):
            yield from _leaves(value, written[name], (*place, name), inner)
        elif isinstance(value, dict):
            for key, entry in value.items():
                if isinstance(entry, Section):
                    yield from _leaves(entry, written[name][key], (*place, name, key), inner)
                else:  # `env`, whose values are often secrets
                    yield (*place, name, key), HIDDEN
        elif isinstance(value, tuple) and isinstance(value[0], Section):
            for index, entry in enumerate(value):
                yield from _leaves(entry, written[name][index], (*place, name, index), inner)
        else:
            yield (*place, name), _shown(written[name], secret=field.shape.secret)


def _shown(value: Any, *, secret: bool) -> Any:
    if secret:
        return HIDDEN
    return redacted_url(value) if isinstance(value, str) and "://" in value else value


def _origin(layers: Layers, place: Place) -> str:
    if place in layers.origins:
        return layers.origins[place].text
    section, name = place[:-1], place[-1]
    if section in layers.origins and isinstance(section[-1], str) and isinstance(_at(layers.values, section), str):
        return layers.origins[section].text  # a text in place of the whole section, such as `endpoint = "auto"`
    preset = layers.origins.get((*section, "preset"))
    if preset is not None and name in SET_BY_PRESET:
        return f"preset {_at(layers.values, (*section, 'preset'))}, {preset.text}"
    # The parts of a list come from the source of the list.
    around = next((layers.origin(place[:end]) for end, part in enumerate(place) if isinstance(part, int)), None)
    written = around is not None and _is_written(layers, place)
    return around.text if isinstance(around, Origin) and written else "default"


def _is_written(layers: Layers, place: Place) -> bool:
    try:
        value = _at(layers.values, place[:-1])
    except (KeyError, IndexError, TypeError):
        return False
    return (isinstance(value, str) and place[-1] == "url") or (isinstance(value, dict) and place[-1] in value)


def _at(values: Any, place: Place) -> Any:
    for part in place:
        values = values[part]
    return values
