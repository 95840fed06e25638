"""The table of keys for later versions."""

from __future__ import annotations

import pytest

from mcppool.spec import ConfigError, availability, loads_toml
from mcppool.spec.availability import LATER
from mcppool.spec.file_spec import FileSpec
from mcppool.spec.resource import ResourceSpec
from mcppool.spec.shape import Shape, fields_of

POOL = '[[pools]]\nname = "a"\nendpoints = ["http://127.0.0.1:8001/mcp"]\n'


def find(path: str) -> Shape | None:
    """The shape of a dotted key, in a file, a pool or a resource."""
    pool = fields_of(FileSpec)["pools"].shape.item
    assert pool is not None
    for root in (Shape("section", model=FileSpec), pool, Shape("section", model=ResourceSpec)):
        shape: Shape | None = root
        for name in path.split("."):
            while shape is not None and shape.item is not None:
                shape = shape.item
            field = fields_of(shape.model).get(name) if shape is not None and shape.model is not None else None
            shape = field.shape if field else None
        if shape is not None:
            return shape
    return None


def test_every_line_names_a_key_and_a_value_that_the_models_have(later: frozenset[str]) -> None:
    for line in LATER | later:
        path, _, value = line.partition("=")
        shape = find(path.partition(">")[0])
        assert shape is not None, line
        assert not value or value in shape.choices, line
        assert not value or availability.available(path, shape.choices), line


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[circuit_breaker]\nfailure_threshold = 3", "circuit_breaker"),
        ("[rate_limit.pool]\nrequests_per_second = 3", "rate_limit"),
        ("[limits]", "limits"),
        ("[outlier_detection]\nconsecutive_failures = 3", "outlier_detection"),
        ('[retry_policy]\npreset = "quick"', "preset"),
        ('[load_balancer]\nstrategy = "random"', "random"),
        ('[load_balancer]\nslow_start = "10s"', "slow_start"),
        ('[auth.inbound]\ntype = "jwt"', "jwt"),
        ('[tools.search]\ncache_ttl = "1s"', "cache_ttl"),
    ],
)
@pytest.mark.parametrize("inside_a_pool", [False, True])
@pytest.mark.usefixtures("later")
def test_unsupported_keys_are_refused_by_name_at_both_levels(text: str, name: str, inside_a_pool: bool) -> None:
    text = POOL + text.replace("[", "[pools.", 1) if inside_a_pool else text
    with pytest.raises(ConfigError) as caught:
        loads_toml(text)
    assert [problem.message for problem in caught.value.problems] == [f'"{name}" is not available in this version']


@pytest.mark.usefixtures("later")
def test_more_workers_than_one_are_later_and_one_is_not() -> None:
    assert loads_toml("[listener]\nworkers = 1").listener.workers == 1
    with pytest.raises(ConfigError, match="2 is not available in this version; allowed: up to 1"):
        loads_toml("[listener]\nworkers = 2")


def test_a_line_that_is_deleted_makes_its_key_available(later: frozenset[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "LATER", later - {"circuit_breaker"})
    assert (
        loads_toml("[circuit_breaker]\nfailure_threshold = 9\n" + POOL).pools[0].circuit_breaker.failure_threshold == 9
    )
