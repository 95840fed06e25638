"""A profile's defaults, then the top-level sections, then the pool's own, merged key by key.

Each value remembers its origin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from mcppool.spec.reading import Place
from mcppool.spec.sections.retry_policy import SET_BY_PRESET


@dataclass(frozen=True)
class Origin:
    """Source of a value: a place in the file, or a profile (then there is no place)."""

    text: str
    place: Place | None = None
    line: int | None = None
    reference: str | None = None
    """The value as it is written, if it has references (`${NAME}`): people see this in place of the value."""


@dataclass
class Layers:
    """The merged values of one pool, or of the process, and the origin of each."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Place, Origin] = field(default_factory=dict)

    def lay(self, data: dict[str, Any], origin: Callable[[Place], Origin]) -> None:
        """Add a layer over the others; `origin` gives the source of a place in `data`."""
        self._lay(self.values, data, (), origin)

    def origin(self, place: Place) -> Origin | None:
        """The origin of the value at a place, or of the nearest enclosing one; None for a model's own default."""
        while place:
            if place in self.origins:
                return self.origins[place]
            place = place[:-1]
        return None

    def _lay(self, base: dict[str, Any], data: dict[str, Any], place: Place, origin: Callable[[Place], Origin]) -> None:
        if place[-1:] == ("retry_policy",) and "preset" in data:
            # A preset replaces a weaker layer's values of the keys that it sets.
            for name in SET_BY_PRESET & base.keys():
                del base[name]
                self.origins.pop((*place, name), None)
        for key, value in data.items():
            inner = (*place, key)
            self.origins[inner] = origin(inner)
            if isinstance(value, dict):
                below = base.get(key)
                base[key] = dict(below) if isinstance(below, dict) else {}
                self._lay(base[key], value, inner, origin)
            else:
                base[key] = value
                self._replace_elements(inner, value, origin)

    def _replace_elements(self, place: Place, value: object, origin: Callable[[Place], Origin]) -> None:
        """Note the origins of the elements of a list, which replaces a weaker layer's list as a whole."""
        for known in [known for known in self.origins if len(known) > len(place) and known[: len(place)] == place]:
            del self.origins[known]
        self._note_elements(place, value, origin)

    def _note_elements(self, place: Place, value: object, origin: Callable[[Place], Origin]) -> None:
        if isinstance(value, dict | list | tuple):
            for key, element in value.items() if isinstance(value, dict) else enumerate(value):
                inner = (*place, key)
                self.origins[inner] = origin(inner)
                self._note_elements(inner, element, origin)


@dataclass(frozen=True)
class Provenance:
    """The origin of each value of a configuration: of the process, and of each pool, in the order of the pools.

    Equal configurations are equal whatever the origins of their values, so all objects of this class are equal.
    """

    profile: str = field(compare=False)
    process: Layers = field(compare=False)
    pools: tuple[Layers, ...] = field(compare=False)


PUBLISHED: Final = Provenance("", Layers(), ())
"""For a snapshot that the operator published: the origins are unknown."""
