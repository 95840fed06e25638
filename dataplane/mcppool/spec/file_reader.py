"""From the parsed data of a configuration file to a snapshot: profile, top-level sections and pools, with the origin of
each value and every problem at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from mcppool.spec.file_spec import FileSpec, PoolDefaults
from mcppool.spec.layers import Layers, Origin, Provenance
from mcppool.spec.naming import TOML
from mcppool.spec.pool import PoolSpec
from mcppool.spec.problems import ConfigError, Problem, show
from mcppool.spec.profiles import PROFILES
from mcppool.spec.reading import Finding, Place, Reader, Unknown
from mcppool.spec.references import References
from mcppool.spec.sections.protection import MemoryLimitsSpec
from mcppool.spec.shape import Shape, fields_of
from mcppool.spec.snapshot import Snapshot
from mcppool.spec.withholding import withhold

COMMAND_LINE: Final = "command line"
"""The origin of values from flags."""
M = TypeVar("M", bound=BaseModel)
_PROCESS: Final = ("listener", "metrics", "logging", "gateway", "seed")
_PROCESS_LIMITS: Final = fields_of(MemoryLimitsSpec).keys()
"""Keys of `limits` that concern the process; the others are defaults of every pool."""


def read_data(
    data: dict[str, Any],
    lines: Mapping[tuple[str | int, ...], int],
    source: str,
    flags: Mapping[str, Any] | None = None,
    references: References | None = None,
    variables: Mapping[tuple[str, ...], str] | None = None,
) -> Snapshot:
    """The snapshot of the parsed data of a text; ConfigError with every mistake in it. `lines` has the line of each
    place, `references` the references that were in place of values; `flags` and `variables` are as in `loads_toml`."""
    return _Reading(data, lines, source, references or References(), variables or {}).snapshot(flags or {})


def _profile_origin(profile: str) -> Callable[[Place], Origin]:
    return lambda _place: Origin(f"profile {profile}")


def _written(layers: Layers, place: Place) -> Place:
    while place and place not in layers.origins:
        place = place[:-1]
    return place


def _at_its_level(finding: Finding) -> Finding:
    """An unknown key that belongs to the other level (top or pool): the message names that level."""
    *around, last = finding.place
    if not isinstance(last, Unknown):
        return finding
    if not around and last.key in fields_of(PoolSpec):
        return replace(finding, message=f'"{last.key}" belongs in a pool, below [[pools]]')
    if around[0:1] == ["pools"] and around[2:] == ["limits"] and last.key in _PROCESS_LIMITS:
        return replace(
            finding, message=f'"{last.key}" belongs in [limits] at the top level: it applies to the whole process'
        )
    if len(around) == 2 and around[0] == "pools" and last.key in fields_of(FileSpec):
        return replace(finding, message=f'"{last.key}" belongs at the top level, not in a pool')
    return finding


def _part_of(data: dict[str, Any], *, of_process: bool) -> dict[str, Any]:
    """The part of a layer for the process, or the part for pools."""
    part = {key: value for key, value in data.items() if (key in _PROCESS) is of_process and key != "limits"}
    limits = data.get("limits")
    if isinstance(limits, dict):
        part["limits"] = {key: value for key, value in limits.items() if (key in _PROCESS_LIMITS) is of_process}
    elif limits is not None:
        part["limits"] = limits
    return part


def _has_no_endpoints(pool: object) -> bool:
    return isinstance(pool, dict) and not any(pool.get(key) for key in ("endpoints", "dns", "command"))


class _Reading:
    """One pass over one file."""

    def __init__(
        self,
        data: dict[str, Any],
        lines: Mapping[tuple[str | int, ...], int],
        source: str,
        references: References,
        variables: Mapping[tuple[str, ...], str],
    ) -> None:
        self._lines = lines
        self._references = references
        self._variables: Mapping[Place, str] = {(*place,): name for place, name in variables.items()}
        self._told: list[str] = []  # paths of references without a value: no other mistake is reported there
        self._source = source
        self._problems: list[Problem] = []
        self._empty = not data
        for place, message, words in references.mistakes:
            problem = Finding(place, message, None, words).at(FileSpec, TOML, source, self._line(place))
            self._add(problem)
            self._told.append(problem.path)
        reader = Reader(FileSpec, TOML)
        self._data = reader.conform(data)
        self._without_endpoints = [index for index, pool in enumerate(self._pools()) if _has_no_endpoints(pool)]
        withheld = withhold(Shape("section", model=FileSpec), self._data, TOML)
        for finding in withheld:
            reader.drop(finding.place)
        for finding in (*map(_at_its_level, reader.findings), *withheld):
            self._add(finding.at(FileSpec, TOML, source, self._line(finding.place)))

    def snapshot(self, flags: Mapping[str, Any]) -> Snapshot:
        """The snapshot, or ConfigError."""
        profile = self._data.pop("profile", "development" if self._empty else "production")
        if not isinstance(profile, str) or profile not in PROFILES:
            # A value that is no string has already been reported as an invalid choice.
            if not isinstance(profile, str):
                text, words = f"{show(profile)} is not allowed", ", ".join(PROFILES)
                self._add(Problem("profile", text, profile, words, self._line(("profile",)), self._source))
            profile = "production"
        defaults = PROFILES[profile]
        pools = self._data.pop("pools", ())

        process, common = Layers(), Layers()
        for layers, wanted in ((process, True), (common, False)):
            for data, origin in ((defaults, _profile_origin(profile)), (self._data, self._file_origin(()))):
                layers.lay(_part_of(data, of_process=wanted), origin)
        process.lay(dict(flags), lambda place: Origin(self._variables.get(place, COMMAND_LINE)))
        snapshot = self._validate(Snapshot, process, ())
        self._validate(PoolDefaults, common, ())

        specs, pool_layers = [], []
        if not isinstance(pools, tuple):
            self._add(
                Problem("pools", "is not a list of tables", pools, "[[pools]]", self._line(("pools",)), self._source)
            )
            pools = ()
        for index, pool in enumerate(pools):
            place: Place = ("pools", index)
            if not isinstance(pool, dict):
                text = f"{show(pool)} is not a table"
                self._add(Problem(f"pools[{index}]", text, pool, "[[pools]]", self._line(place), self._source))
                continue
            layers = Layers()
            layers.lay(common.values, lambda inner: common.origin(inner) or _profile_origin(profile)(inner))
            layers.lay(pool, self._file_origin(place))
            specs.append(self._validate(PoolSpec, layers, place))
            pool_layers.append(layers)
        self._check_pools(pools)
        if self._problems or snapshot is None:
            raise ConfigError(sorted(self._problems, key=lambda problem: problem.line or 0))
        served = tuple(spec for spec in specs if spec is not None)
        for index, spec in enumerate(served):
            for number, endpoint in enumerate(spec.endpoints):
                if self._references.secret_below(("pools", index, "endpoints", number)):
                    endpoint.conceal_path()
        provenance = Provenance(profile, process, tuple(pool_layers))
        return snapshot.model_copy(update={"pools": served}).with_provenance(provenance)

    def _pools(self) -> Sequence[Any]:
        pools = self._data.get("pools", ())
        return pools if isinstance(pools, tuple) else ()

    def _check_pools(self, pools: Sequence[Any]) -> None:
        for index in self._without_endpoints:
            path, line = f"pools[{index}]", self._line(("pools", index))
            self._add(Problem(path, "has no endpoints", None, 'endpoints = ["http://…/mcp"]', line, self._source))
        names: dict[str, int] = {}
        for index, pool in enumerate(pools):
            name = pool.get("name") if isinstance(pool, dict) else None
            if not isinstance(name, str):
                continue
            if name in names:
                text = f'"{name}" is the name of pools[{names[name]}] already'
                line = self._line(("pools", index, "name"))
                self._add(Problem(f"pools[{index}].name", text, name, "a unique name", line, self._source))
            names.setdefault(name, index)

    def _validate(self, model: type[M], layers: Layers, base: Place) -> M | None:
        reader = Reader(model, TOML)
        value = reader.validate(layers.values)
        for finding in reader.findings:
            self._add(self._located(finding, layers, base))
        return value

    def _located(self, finding: Finding, layers: Layers, base: Place) -> Problem:
        """The problem at its place in the file; for several values, at the first one in the file."""
        places = (finding.place, *finding.others)
        in_file = [place for place in places if (origin := layers.origins.get(place)) and origin.place is not None]
        flag = layers.origins.get(finding.place)
        if not in_file and flag is not None and flag.text in (COMMAND_LINE, *self._variables.values()):
            return replace(finding, place=(*base, *finding.place)).at(FileSpec, TOML, flag.text)
        for place in (*in_file, *places):
            # A missing or wrong inner value has its path from the nearest written enclosing value.
            around = _written(layers, place)
            if around and (start := layers.origins[around].place) is not None:
                return self._problem(finding, (*start, *place[len(around) :]))
        return self._problem(finding, (*base, *finding.place))

    def _problem(self, finding: Finding, place: Place) -> Problem:
        return replace(finding, place=place).at(FileSpec, TOML, self._source, self._line(place))

    def _file_origin(self, base: Place) -> Callable[[Place], Origin]:
        def origin(place: Place) -> Origin:
            line = self._line((*base, *place))
            text = self._source if line is None else f"{self._source}:{line}"
            if self._source == COMMAND_LINE:
                text = self._variables.get((*base, *place), text)
            reference = self._references.found.get(self._position((*base, *place)))
            return Origin(text, (*base, *place), line, reference.written if reference is not None else None)

        return origin

    @staticmethod
    def _position(place: Place) -> tuple[str | int, ...]:
        """The place in the parsed file."""
        return tuple(part.key if isinstance(part, Unknown) else part for part in place)

    def _line(self, place: Place) -> int | None:
        position = self._position(place)
        while position and position not in self._lines:
            position = position[:-1]
        return self._lines.get(position)

    def _add(self, problem: Problem) -> None:
        problem = self._references.hide(problem)
        told = any(problem.path == path or problem.path.startswith((f"{path}.", f"{path}[")) for path in self._told)
        if problem not in self._problems and not told:
            self._problems.append(problem)
