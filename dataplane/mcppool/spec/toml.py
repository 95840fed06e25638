"""Reads a configuration file: every problem at once, with file, line and dotted path."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

from pydantic import BaseModel, Field

from mcppool.spec.layers import Layers, Origin, Provenance
from mcppool.spec.model import Rule
from mcppool.spec.naming import TOML
from mcppool.spec.pool import PoolPolicy, PoolSpec
from mcppool.spec.positions import key_lines
from mcppool.spec.problems import ConfigError, Problem, show
from mcppool.spec.profiles import PROFILES, Profile
from mcppool.spec.reading import Finding, Place, Reader, Unknown
from mcppool.spec.redaction import without_secret_values
from mcppool.spec.references import References, read_referenced, resolve
from mcppool.spec.sections.auth import UpstreamTlsSpec
from mcppool.spec.sections.local import LocalSpec
from mcppool.spec.sections.process import GatewayPlacement, ListenerSpec, LoggingSpec, MetricsSpec
from mcppool.spec.sections.protection import MemoryLimitsSpec, ProcessLimitsSpec
from mcppool.spec.shape import Shape, fields_of
from mcppool.spec.snapshot import Snapshot
from mcppool.spec.withholding import withhold

COMMAND_LINE: Final = "command line"  # the origin of values from flags
_POSITION = re.compile(r" \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)$")
M = TypeVar("M", bound=BaseModel)
_PROCESS: Final = ("listener", "metrics", "logging", "gateway", "seed")
_PROCESS_LIMITS: Final = fields_of(MemoryLimitsSpec).keys()
"""Keys of `limits` that concern the process; the others are defaults of every pool."""


class PoolDefaults(PoolPolicy):
    """Sections that a file may set for all its pools."""

    rules: ClassVar[tuple[Rule, ...]] = ()  # rules between sections apply in each pool, which may set the rest

    tls: UpstreamTlsSpec = Field(UpstreamTlsSpec(), description="How the gateway verifies https endpoints.")
    local: LocalSpec = Field(LocalSpec(), description="Processes of local servers.")


class FileSpec(PoolDefaults):
    """A configuration file."""

    profile: Profile = Field("production", description="The set of defaults.")
    pools: tuple[PoolSpec, ...] = Field((), description="The pools to serve.")
    listener: ListenerSpec = Field(ListenerSpec(), description="The address for clients.")
    metrics: MetricsSpec = Field(MetricsSpec(), description="The admin port.")
    logging: LoggingSpec = Field(LoggingSpec(), description="Log lines.")
    limits: ProcessLimitsSpec = Field(
        ProcessLimitsSpec(), description="Bounds on calls in flight, and on the memory of the process."
    )
    gateway: GatewayPlacement = Field(GatewayPlacement(), description="Where this gateway runs.")


def load_toml(path: str | Path) -> Snapshot:
    """The snapshot of a file; ConfigError with every mistake in it. An empty file has no pools."""
    source = str(path)
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError([Problem("", f"cannot be read: {error.strerror}", source=source)]) from None
    return load_bytes(raw, source)


def load_bytes(raw: bytes, source: str) -> Snapshot:
    """Like `load_toml`, from the file's bytes."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem("", "is not UTF-8 text", line=line, source=source)]) from None
    return loads_toml(text, source)


def loads_toml(
    text: str,
    source: str = "configuration",
    flags: Mapping[str, Any] | None = None,
    variables: Mapping[tuple[str, ...], str] | None = None,
) -> Snapshot:
    """The snapshot of a text; ConfigError with every mistake in it. `flags` are sections of the process from the
    command line; they win over the text. `variables` names the environment variables of flags that the environment
    gives, by place."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_problem(text, str(error), source)]) from None
    except RecursionError:
        raise ConfigError([Problem("", "is nested too deeply", source=source)]) from None
    data, references = resolve(data, os.environ.get, read_referenced)
    return read_data(data, key_lines(text), source, flags, references, variables)


def default_snapshot(
    urls: Sequence[str],
    profile: Profile = "development",
    *,
    command: Sequence[str] = (),
    replicas: int | None = None,
    listen: str | None = None,
    admin_port: int | None = None,
    env: Mapping[str, str] | None = None,
    env_from: Sequence[str] = (),
    accept_everyone: bool = False,
    workers: int | str | None = None,
    variables: Mapping[tuple[str, ...], str] | None = None,
) -> Snapshot:
    """A snapshot with these URLs, or replicas of this local program, as one pool named `default`, with other listen
    addresses than the usual ones if they are given. `env` and `env_from` are the program's variables, in addition to
    the small environment of every local server. `accept_everyone` says that no client
    authenticates, wherever the gateway listens. `workers` is the number of processes.
    `variables` names the environment variables that gave values, by place.

    ConfigError if one of them is no URL, no number of replicas, no address or no port.
    """
    pool: dict[str, Any] = {"name": "default"}
    if command:
        pool["command"] = list(command)
        if replicas is not None:
            pool["replicas"] = replicas
        pool |= {"env": dict(env or {}), "env_from": list(env_from)}
    else:
        pool["endpoints"] = list(urls)
    if accept_everyone:
        pool["auth"] = {"inbound": {"type": "none"}}
    data: dict[str, Any] = {"profile": profile, "pools": [pool]}
    listener = {"listen": listen, "workers": workers}
    if given := {key: value for key, value in listener.items() if value is not None}:
        data["listener"] = given
    if admin_port is not None:
        data["metrics"] = {"port": admin_port}
    return read_data(data, {}, COMMAND_LINE, variables=variables)


def read_data(
    data: dict[str, Any],
    lines: Mapping[tuple[str | int, ...], int],
    source: str,
    flags: Mapping[str, Any] | None = None,
    references: References | None = None,
    variables: Mapping[tuple[str, ...], str] | None = None,
) -> Snapshot:
    """Like `loads_toml`, from the parsed data of a text, with the line of each place, and with the references that were
    in its place."""
    return _Reading(data, lines, source, references or References(), variables or {}).snapshot(flags or {})


def _syntax_problem(text: str, message: str, source: str) -> Problem:
    match = _POSITION.search(message)
    lines = text.rstrip("\n").split("\n")
    line = int(match[1]) if match and match[1] else len(lines)
    column = int(match[2]) if match and match[2] else None
    what = message[: match.start()] if match else message
    at = min(line, len(lines)) - 1
    written = without_secret_values(lines[at].strip(), table=_table_around(lines[:at]))
    key = written.partition("=")[0].strip()
    if what.startswith("Cannot overwrite") and "=" in written and key:
        return Problem("", f"{key} is written twice", written, line=line, source=source)
    if what.startswith("Cannot declare"):
        return Problem("", f"{written} is written twice", written, line=line, source=source)
    text = f"is not TOML: {what[:1].lower()}{what[1:]}: {show(written)}"
    return Problem("", text, written, line=line, source=source, column=column)


def _table_around(lines: list[str]) -> str:
    """The last head of a table in the lines, as far as it can be found in a file that cannot be read."""
    return next((line.strip() for line in reversed(lines) if line.lstrip().startswith("[")), "")


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
